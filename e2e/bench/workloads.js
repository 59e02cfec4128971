// Single kernels in one page of Chromium: every workload of every module runs once per round.

import { readFile } from 'node:fs/promises';

/** Multiply-adds in registers: the peak for all shares. */
export const PEAK = 'registers';

/** Sizes of the matrix products that peers compute too. */
export const PRODUCTS = [256, 512, 1024];

/** Workloads of peers, independent of our module. jax-js is not among them, since its products always use all cores. */
export const PEER = /^(?:pffft|ort-gemm|tfjs-gemm):/;

/** Workloads in the benchmarks' table. RustFFT is in the kernels' module; other peers have their own. */
export const TABLE = [
  ...PRODUCTS.flatMap((size) => ['gemm', 'ort-gemm', 'tfjs-gemm'].map((kind) => `${kind}:${size}`)),
  ...[1024, 4096, 16384, 65536].flatMap((length) => [`conv:${length}`, `pffft:${length}`, `rustfft:${length}`]),
];

/**
 * @param {import('@playwright/test').BrowserContext} context
 * @param {{modules: string[], workloads: string[], rounds: number, roundMs: number}} options modules as `label=path`
 * @returns {Promise<{label: string, workload: string, flops: number, times: number[]}[]>} times in ms of one run
 */
export async function measure(context, url, { modules, workloads, rounds, roundMs }) {
  const page = await context.newPage();
  try {
    await page.goto(`${url}bench/kernels.html`);
    await page.waitForFunction(() => window.kernels);
    const rows = [];
    for (const word of modules) {
      const [label, path] = word.split('=');
      const bytes = (await readFile(path)).toString('base64');
      for (const workload of new Set([PEAK, 'tile', ...workloads])) {
        if (PEER.test(workload) && label !== modules[0].split('=')[0]) continue;
        const prepared = await page.evaluate(([given, name]) => window.kernels.prepare(given, name), [bytes, workload]);
        rows.push({ label, workload, ...prepared, repeats: 1, times: [] });
      }
    }
    const call = ({ index, repeats }) => page.evaluate((given) => window.kernels.round(...given), [index, repeats]);
    // Warm-up until optimised code runs; also determines the number of repeats.
    for (const row of rows) {
      let ms = await call(row);
      for (let spent = ms; spent < 4 * roundMs; spent += ms) {
        row.repeats = Math.max(1, Math.ceil((row.repeats * roundMs) / Math.max(ms, 0.1)));
        ms = await call(row);
      }
      row.repeats = Math.max(1, Math.round((row.repeats * roundMs) / Math.max(ms, 0.1)));
    }
    for (let round = 0; round < rounds; round += 1) {
      for (const row of rows) row.times.push((await call(row)) / row.repeats);
    }
    return rows;
  } finally {
    await page.close();
  }
}

/** GFLOP/s of the best round. */
export const rate = ({ flops, times }) => flops / Math.min(...times) / 1e6;

/** Share of the peak measured with that module. */
export function share(row, rows) {
  return rate(row) / rate(rows.find(({ label, workload }) => label === row.label && workload === PEAK));
}
