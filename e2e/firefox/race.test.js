// A small verified race in Firefox, with its WebGPU and without.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { root, serve } from '../support/server.js';

const race = { systems: ['attention', 'hyena'], lengths: [64, 128], width: 32, heads: 2, budgetMs: 60_000 };

/** Lets WebGPU run on a software adapter, which Firefox otherwise refuses. */
const withGpu = { 'dom.webgpu.enabled': true, 'gfx.webgpu.ignore-blocklist': true };

let server;
before(async () => { server = await serve(); });
after(() => server?.stop());

async function open(prefs, use) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
    extraPrefsFirefox: prefs,
    protocolTimeout: 120_000,
  });
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    await page.waitForFunction(() => window.crossover);
    return await use(page);
  } finally {
    await browser.close();
  }
}

function check(report, backend) {
  assert.equal(report.status, 'done');
  for (const lane of report.lanes) {
    assert.equal(lane.backend, backend);
    assert.equal(lane.verification?.pass, true, `${lane.system} is verified`);
    assert.deepEqual(lane.points.map((point) => point.outcome), ['ok', 'ok']);
    for (const point of lane.points) assert.ok(point.medianMs > 0);
  }
}

async function verify(page, system, name, backend) {
  const bytes = await readFile(`${root}/kernels/golden/${system}/${name}`);
  return page.evaluate(
    (base64, backend) => window.crossover.verify(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), { backend }),
    bytes.toString('base64'),
    backend,
  );
}

test('with WebGPU a small race on the GPU is verified', { timeout: 180_000 }, () =>
  open(withGpu, async (page) => {
    const environment = await page.evaluate(() => window.crossover.environment());
    assert.ok(environment.gpu, `an adapter; ${environment.gpuMissing}`);
    assert.equal(environment.isolated, true);
    check(await page.evaluate((config) => window.crossover.race(config), { ...race, backend: 'webgpu' }), 'webgpu');
    for (const [system, name] of [['attention', 'core_L64_D32_H1.safetensors'], ['hyena', 'core_o2_L64_D32.safetensors']]) {
      const result = await verify(page, system, name, 'webgpu');
      assert.equal(result.pass, true, `${system}: ${JSON.stringify(result)}`);
    }
  }));

test('without WebGPU the race runs on the CPU, with threads, verified', { timeout: 180_000 }, () =>
  open({ 'dom.webgpu.enabled': false }, async (page) => {
    const environment = await page.evaluate(() => window.crossover.environment());
    assert.equal(environment.gpu, null);
    assert.ok(environment.gpuMissing);
    assert.ok(environment.threads >= Math.min(2, environment.cores));
    check(await page.evaluate((config) => window.crossover.race(config), { ...race, backend: 'auto' }), 'cpu');
    const result = await verify(page, 'hyena', 'core_o2_L64_D32.safetensors', 'cpu');
    assert.equal(result.pass, true);
  }));
