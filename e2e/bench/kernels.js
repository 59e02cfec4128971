// The CPU kernels alone in Chromium: `cargo xtask bench --kernels gemm:512,attention:1024`. Each workload of each module
// has its turn in each of several rounds; printed are the best and the median round, and the share of what multiply-adds
// in registers reach in the same run.

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { chromium } from '@playwright/test';
import { median } from './page/median.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    // Several may be compared: --module=before=a.wasm --module=after=b.wasm
    module: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '7' },
    /** What a round lasts at least. */
    'round-ms': { type: 'string', default: '40' },
  },
});

/** Against it everything is held. */
const PEAK = 'registers';

async function prepare(bytes, name) {
  const { instance } = await WebAssembly.instantiate(Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0)), {});
  const { memory, name: place, prepare: make } = instance.exports;
  const word = new TextEncoder().encode(name);
  new Uint8Array(memory.buffer, place(), word.length).set(word);
  const flops = make(word.length);
  if (Number.isNaN(flops)) throw new Error(`there is no workload ${name}`);
  (window.bench ??= []).push(instance.exports.run);
  return flops;
}

/** Milliseconds of one run. The first rounds decide how often a round repeats it. */
function round([index, repeats]) {
  const started = performance.now();
  const result = window.bench[index](repeats);
  if (Number.isNaN(result)) throw new Error('the kernel failed');
  return performance.now() - started;
}

async function main() {
  const roundMs = Number(values['round-ms']);
  const modules = await Promise.all(
    (values.module ?? []).map(async (word) => {
      const [label, path] = word.split('=');
      return { label, bytes: (await readFile(path)).toString('base64') };
    }),
  );
  const workloads = [PEAK, 'tile', ...positionals];
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless=new', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  });
  try {
    const page = await browser.newPage();
    const rows = [];
    for (const workload of workloads) {
      for (const { label, bytes } of modules) {
        const flops = await page.evaluate(`(${prepare})(${JSON.stringify(bytes)}, ${JSON.stringify(workload)})`);
        rows.push({ label, workload, flops, index: rows.length, repeats: 1, times: [] });
      }
    }
    const call = ({ index, repeats }) => page.evaluate(round, [index, repeats]);
    // Warm up until optimised code runs, and find how often to repeat.
    for (const row of rows) {
      let ms = await call(row);
      for (let spent = ms; spent < 4 * roundMs; spent += ms) {
        row.repeats = Math.max(1, Math.ceil((row.repeats * roundMs) / Math.max(ms, 0.1)));
        ms = await call(row);
      }
      row.repeats = Math.max(1, Math.round((row.repeats * roundMs) / Math.max(ms, 0.1)));
    }
    for (let index = 0; index < Number(values.rounds); index += 1) {
      for (const row of rows) row.times.push((await call(row)) / row.repeats);
    }
    const rate = ({ flops, times }) => flops / Math.min(...times) / 1e6;
    for (const row of rows) {
      const peak = rate(rows.find(({ label, workload }) => label === row.label && workload === PEAK));
      const cells = [
        row.workload.padEnd(28),
        `${Math.min(...row.times).toFixed(3)} ms`.padStart(13),
        `median ${median(row.times).toFixed(3)}`.padStart(17),
        `${rate(row).toFixed(1)} GFLOP/s`.padStart(15),
        `${((100 * rate(row)) / peak).toFixed(0)}%`.padStart(5),
        row.label,
      ];
      console.log(cells.join('  '));
    }
  } finally {
    await browser.close();
  }
}

await main();
