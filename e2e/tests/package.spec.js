// The npm package: installed into an empty project, bundled, and raced.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { test, expect } from '../support/fixtures.js';
import { root } from '../support/server.js';
import { serveFolder } from '../support/static.js';

const run = promisify(execFile);
const RACE = "race({ systems: ['attention', 'hyena'], lengths: [64, 128], width: 32, heads: 2, backend: 'cpu' })";
const page = (script) => `<!doctype html><html lang="en"><title>A project</title><link rel="icon" href="data:,">${script}`;

let folder;
let server;
test.beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossover-package-'));
  await writeFile(join(folder, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(root, 'dist/npm/crossover-race.tgz')], { cwd: folder });
  server = await serveFolder(folder);
});
test.afterAll(async () => {
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function raced(page, address) {
  await page.goto(address);
  await page.waitForFunction(() => window.report || window.failure, undefined, { timeout: 60_000 });
  expect(await page.evaluate(() => window.failure)).toBeUndefined();
  return page.evaluate(() => window.report);
}

test('a bundler’s project races with the engine where configure says', async ({ page: tab }) => {
  await writeFile(join(folder, 'main.js'), `import { configure, race } from 'crossover-race';
configure({ base: '/engine/' });
${RACE}.then((report) => { window.report = report; }, (error) => { window.failure = String(error); });`);
  await run('npx', ['--offline', 'crossover-race', 'engine'], { cwd: folder });
  const { warnings } = await build({ entryPoints: [join(folder, 'main.js')], bundle: true, format: 'esm', minify: true, outfile: join(folder, 'out/main.js') });
  expect(warnings).toEqual([]);
  await writeFile(join(folder, 'index.html'), page('<script type="module" src="out/main.js"></script>'));
  const report = await raced(tab, server.url);
  expect(report.status).toBe('done');
  expect(report.lanes.map((lane) => lane.system)).toEqual(['attention', 'hyena']);
  expect(report.environment.isolated).toBe(true);
});

test('a plain module script races with nothing configured, and the element is there', async ({ page: tab }) => {
  await writeFile(join(folder, 'plain.html'), page(`<script type="module">
    import { race } from './node_modules/crossover-race/crossover.js';
    ${RACE}.then((report) => { window.report = report; }, (error) => { window.failure = String(error); });
  </script><crossover-race systems="attention" lengths="64" width="32" heads="2" backend="cpu"></crossover-race>`));
  const report = await raced(tab, `${server.url}plain.html`);
  expect(report.status).toBe('done');
  const status = await tab.evaluate(() => document.querySelector('crossover-race').start().then((report) => report.status, (error) => error.code));
  expect(status).toBe('done');
});

test('the types describe what is there', async () => {
  const names = Object.keys(await import(join(folder, 'node_modules/crossover-race/crossover.js')));
  const types = await readFile(join(folder, 'node_modules/crossover-race/crossover.d.ts'), 'utf8');
  const declared = [...types.matchAll(/^export (?:declare )?(?:function|class|const) (\w+)/gm)].map((match) => match[1]);
  expect(names.sort()).toEqual(declared.sort());
  await writeFile(join(folder, 'use.ts'), `import { configure, CrossoverError, race, type Report } from 'crossover-race';
configure({ base: '/engine/' });
const report: Report = await race({ systems: ['attention', { system: 'hyena', backend: 'cpu', params: { order: 2 } }], lengths: [64] });
const first: number | null = report.lanes[0].points[0].medianMs;
const element = document.createElement('crossover-race');
element.addEventListener('report', (event) => console.log(event.detail.crossovers.length, first, CrossoverError));
element.addEventListener('progress', (event) => console.log(event.detail.fraction.toFixed(2)));
const again: Promise<Report> = element.start();
// @ts-expect-error A length is a number.
void race({ lengths: ['64'] });
export { again };
`);
  const tsc = join(root, 'e2e/node_modules/typescript/bin/tsc');
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom'];
  await run(process.execPath, [tsc, ...options, 'use.ts'], { cwd: folder });
});
