// Single CPU kernels: `cargo xtask bench --kernels gemm:512,attention:1024`. Prints the best and the median round, and
// the share of the multiply-adds in registers measured in this run.

import { parseArgs } from 'node:util';
import { chromium } from '@playwright/test';
import { median } from './page/median.js';
import { provide } from './graphs.js';
import { serve } from './server.js';
import { PRODUCTS, measure, rate, share } from './workloads.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    // Modules can be compared: --module=before=a.wasm --module=after=b.wasm
    module: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '7' },
    /** Shortest duration of a round in ms. */
    'round-ms': { type: 'string', default: '40' },
  },
});

const server = await serve();
provide(server, PRODUCTS);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless=new', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
});
try {
  const rows = await measure(await browser.newContext(), server.url, {
    modules: values.module ?? [],
    workloads: positionals,
    rounds: Number(values.rounds),
    roundMs: Number(values['round-ms']),
  });
  for (const row of rows) {
    const cells = [
      row.workload.padEnd(28),
      `${Math.min(...row.times).toFixed(3)} ms`.padStart(13),
      `median ${median(row.times).toFixed(3)}`.padStart(17),
      `${rate(row).toFixed(1)} GFLOP/s`.padStart(15),
      `${(100 * share(row, rows)).toFixed(0)}%`.padStart(5),
      row.label,
    ];
    console.log(cells.join('  '));
  }
} finally {
  await browser.close();
  await server.stop();
}
