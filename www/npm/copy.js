#!/usr/bin/env node
// Copies the engine's files, and the pages that go with them, into a folder that a site serves.

import { cpSync, mkdirSync } from 'node:fs';
import { basename, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What only a package needs. */
const OWN = new Set(['package.json', 'README.md', 'copy.js', 'node_modules']);

const [target, ...rest] = process.argv.slice(2);
if (!target || target.startsWith('-') || rest.length > 0) {
  console.error('usage: crossover-race FOLDER');
  process.exit(1);
}
const source = fileURLToPath(new URL('.', import.meta.url));
mkdirSync(target, { recursive: true });
cpSync(source, target, {
  recursive: true,
  // Never itself into itself, however the folder was named.
  filter: (path) => relative(source, path).includes('/') || !OWN.has(basename(path)),
});
console.log(`Crossover's files are in ${target}; serve them and call configure({ base: '…' }) with their address.`);
