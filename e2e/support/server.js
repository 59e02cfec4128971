// Starts the site's own server (`cargo xtask serve`) on a free port.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** How long the server may take to start; the first time, cargo may have to build it. */
const PATIENCE_MS = 300_000;

/**
 * @param {{isolated?: boolean}} [options]
 * @returns {Promise<{url: string, stop: () => Promise<void>}>}
 */
export async function serve({ isolated = true } = {}) {
  const [program, ...first] = process.env.CROSSOVER_XTASK ? [process.env.CROSSOVER_XTASK] : ['cargo', 'xtask'];
  const args = [...first, 'serve', '--port', '0', ...(isolated ? [] : ['--no-threads-headers'])];
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the server did not start')), PATIENCE_MS);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}; is there a site in dist/?`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const match = /(http:\/\/127\.0\.0\.1:\d+\/)/.exec(line);
      if (match) {
        clearTimeout(timer);
        resolve(match[1]);
      }
    });
  });
  return {
    url,
    async stop() {
      child.removeAllListeners('exit');
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
