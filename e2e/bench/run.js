// `cargo xtask bench`: runs the comparison in Chromium and writes docs/benchmarks.md.

import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from '@playwright/test';
import { root, serve } from '../support/server.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const types = { html: 'text/html', js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm' };
const lengths = [1024, 2048, 4096];
const shape = { width: 256, heads: 4 };

const server = await serve();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless=new', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  await page.route('**/bench/**', async (route) => {
    const path = new URL(route.request().url()).pathname.replace(/^\/bench\//, '').replace(/^modules\//, 'node_modules/');
    await route.fulfill({
      body: await readFile(here + path),
      contentType: types[path.split('.').at(-1)] ?? 'application/octet-stream',
      headers: {
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
        'cross-origin-resource-policy': 'same-origin',
      },
    });
  });
  await page.goto(`${server.url}bench/page.html`);
  await page.waitForFunction(() => window.bench, undefined, { timeout: 60_000 });
  const environment = await page.evaluate(() => window.bench.environment());

  const lines = [
    '# Benchmarks',
    '',
    'Written by `cargo xtask bench`, which runs everything below in one go, in one page, the contestants taking turns.',
    'Compare numbers of one run only: they belong to its machine.',
    '',
    `- Browser: ${await browser.version()}, ${environment.cores} cores, ${environment.threads} threads, ${environment.simd}`,
    `- GPU: ${environment.gpu ? `${environment.gpu.vendor} ${environment.gpu.architecture}${environment.gpu.fallback ? ' (software adapter)' : ''}` : 'none'}`,
    `- ${new Date().toISOString().slice(0, 10)}`,
    '',
    '## Attention beside its peers',
    '',
    `Softmax attention, not causal, width ${shape.width}, ${shape.heads} heads, projections left out; milliseconds, the best round's median; in brackets the peer's time over ours, above 1 where ours is faster.`,
    'ONNX Runtime Web runs its fused `MultiHeadAttention`, TensorFlow.js two products and a softmax, on the same number of threads.',
    '',
    '| backend | length | Crossover | ONNX Runtime Web 1.30.0 | TensorFlow.js 4.22.0 |',
    '|---|---:|---:|---:|---:|',
  ];
  for (const backend of environment.gpu ? ['cpu', 'webgpu'] : ['cpu']) {
    for (const length of lengths) {
      const results = await page.evaluate((problem) => window.bench.compare(problem), {
        ...shape, length, backend, threads: environment.threads,
      });
      const ours = results.crossover;
      const cell = (result) => (result.failed ? `failed: ${result.failed.replaceAll('|', '/')}` : `${result.ms.toFixed(1)}${result !== ours && ours.ms ? ` (${(result.ms / ours.ms).toFixed(2)})` : ''}`);
      lines.push(`| ${backend} | ${length} | ${cell(ours)} | ${cell(results['onnxruntime-web'])} | ${cell(results.tfjs)} |`);
      console.log(lines.at(-1));
    }
  }
  lines.push('', '## Growth on the CPU', '', '| system | lengths | exponent (95 %) | peak memory at the longest |', '|---|---|---:|---:|');
  for (const [system, from, to] of [['attention', 4096, 32_768], ['hyena', 4096, 65_536]]) {
    const steps = Array.from({ length: Math.log2(to / from) + 1 }, (_, step) => from * 2 ** step);
    const { exponent, points } = await page.evaluate((config) => window.bench.growth(config), { ...shape, system, backend: 'cpu', lengths: steps, budgetMs: 240_000 });
    const last = points.filter((point) => point.outcome === 'ok').at(-1);
    const missed = points.filter((point) => point.outcome !== 'ok').map((point) => `${point.length}: ${point.outcome}`).join(', ');
    lines.push(`| ${system} | ${from}–${last?.length}${missed ? ` (${missed})` : ''} | ${exponent ? `${exponent.estimate.toFixed(2)} (${exponent.low.toFixed(2)}–${exponent.high.toFixed(2)})` : '—'} | ${last ? `${(last.peakBytes / 2 ** 20).toFixed(0)} MiB` : '—'} |`);
    console.log(lines.at(-1));
  }
  await mkdir(`${root}/docs`, { recursive: true });
  await writeFile(`${root}/docs/benchmarks.md`, `${lines.join('\n')}\n`);
  console.log('docs/benchmarks.md is written');
} finally {
  await browser.close();
  await server.stop();
}
