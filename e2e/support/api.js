// Another page that uses the API: it has the module `crossover.js` and nothing else.

import { readFile } from 'node:fs/promises';
import { root } from './server.js';

const html = `<!doctype html><html lang="en"><title>A page that uses the API</title>
<script type="module">
  import * as crossover from './crossover.js';
  window.api = crossover;
</script>`;

/** Opens it beside the site, isolated like the site by default. */
export async function openApi(page, base = process.env.CROSSOVER_URL, isolated = base === process.env.CROSSOVER_URL) {
  await page.route('**/api-test.html', (route) =>
    route.fulfill({
      contentType: 'text/html',
      headers: isolated
        ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }
        : {},
      body: html,
    }),
  );
  await page.goto(`${base}api-test.html`);
  await page.waitForFunction(() => window.api);
}

/** A race that takes seconds. The budget is a limit for busy machines with slow adapters, not the expected time. */
export const smallRace = {
  systems: ['attention', 'hyena'],
  lengths: [64, 128, 256],
  width: 32,
  heads: 2,
  budgetMs: 240_000,
};

/** Runs a race to its end; returns an error as data. */
export function race(page, config) {
  return page.evaluate(async (config) => {
    try {
      return { report: await window.api.race(config) };
    } catch (error) {
      return { error: { name: error.name, code: error.code, field: error.field, message: error.message } };
    }
  }, config);
}

/** The error of a race whose engine is crashed by `crash` after the first measurement. */
export async function crashedRace(page, crash) {
  const running = page.evaluate(async (config) => {
    let started;
    window.started = new Promise((resolve) => { started = resolve; });
    try {
      await window.api.race(config, { onEvent: (event) => event.report?.lanes.some((lane) => lane.points.some((point) => point.samples > 0)) && started() });
      return {};
    } catch (error) {
      return { code: error.code, message: error.message, measured: error.report?.lanes.flatMap((lane) => lane.points).length };
    }
  }, { systems: ['attention'], lengths: [64, 2048, 4096, 8192], backend: 'cpu', budgetMs: 60_000 });
  await page.evaluate(() => window.started);
  // The engine's own worker is the oldest; all other workers are its threads.
  await crash(page.workers()[0]);
  return running;
}

/** Verifies bytes; returns an error as data. */
export function verify(page, bytes, backend) {
  return page.evaluate(
    async ([base64, backend]) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      try {
        return { result: await window.api.verify(bytes, { backend }) };
      } catch (error) {
        return { error: { name: error.name, code: error.code, message: error.message } };
      }
    },
    [Buffer.from(bytes).toString('base64'), backend],
  );
}

/** Bytes of a golden file in the repository. */
export const golden = (system, name) => readFile(`${root}/kernels/golden/${system}/${name}`);
