// The headers that threads, security and caching need, as the local server sends them.

import { join } from 'node:path';
import { test, expect, plainUrl } from '../support/fixtures.js';
import { root } from '../support/server.js';
import { serveFolder } from '../support/static.js';

const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'cross-origin',
  'document-isolation-policy': 'isolate-and-credentialless',
};

async function manifest(request) {
  return (await request.get('./manifest.json')).json();
}

test('every answer isolates the page, states its policy and forbids guessing types', async ({ request }) => {
  for (const path of ['./', './crossover.js', './manifest.json', './sw.js']) {
    const response = await request.get(path);
    expect(response.status(), path).toBe(200);
    expect(response.headers(), path).toMatchObject({ ...isolation, 'x-content-type-options': 'nosniff' });
    const policy = response.headers()['content-security-policy'];
    expect(policy, path).toContain("script-src 'self' 'wasm-unsafe-eval'");
    expect(policy, path).toContain("worker-src 'self' blob:");
    expect(policy, path).not.toContain("'unsafe-eval'");
    expect(response.headers()['cache-control'], path).toBe('no-cache');
  }
});

test('wasm has its exact type, is compressed and is kept for ever', async ({ request }) => {
  const { workers } = await manifest(request);
  for (const [variant, path] of Object.entries(workers)) {
    const address = `./${path.replace(/\.js$/, '_bg.wasm')}`;
    for (const encoding of ['br', 'gzip']) {
      const response = await request.get(address, { headers: { 'accept-encoding': encoding } });
      expect(response.status(), variant).toBe(200);
      expect(response.headers()['content-type'], variant).toBe('application/wasm');
      expect(response.headers()['content-encoding'], variant).toBe(encoding);
      expect(response.headers()['cache-control'], variant).toContain('immutable');
    }
  }
});

test('a client without Brotli, and one without any compression, get the same bytes (fault 30)', async ({ request }) => {
  const { workers } = await manifest(request);
  for (const address of ['./crossover.js', `./${workers.simd128.replace(/\.js$/, '_bg.wasm')}`]) {
    const bodies = [];
    for (const encoding of ['br', 'gzip', 'identity']) {
      const response = await request.get(address, { headers: { 'accept-encoding': encoding } });
      expect(response.status(), encoding).toBe(200);
      expect(response.headers()['content-encoding'] ?? 'identity', address).toBe(encoding);
      bodies.push(await response.body());
    }
    expect(bodies[0].length).toBeGreaterThan(0);
    expect(bodies[1].equals(bodies[0]) && bodies[2].equals(bodies[0]), address).toBe(true);
  }
});

test('the server without isolation headers sends none', async ({ request }) => {
  const response = await request.get(plainUrl());
  for (const name of Object.keys(isolation)) expect(response.headers()[name], name).toBeUndefined();
});

test('missing files are 404 and not cached', async ({ request }) => {
  const response = await request.get('./assets/nothing.js');
  expect(response.status()).toBe(404);
  expect(response.headers()['cache-control']).toBe('no-store');
  expect(await response.text()).toContain('There is no such page');
});

test('invalid file names are 404', async ({ request }) => {
  for (const path of [`./${'a'.repeat(300)}`, './%00', `./assets/${'%E4%B8%AD'.repeat(200)}.js`, './..%2f..%2fCargo.toml']) {
    const response = await request.get(path);
    expect(response.status(), path).toBe(404);
    expect(response.headers()['content-type'], path).toContain('text/html');
  }
});

test.describe('addresses that are not there', () => {
  test.use({ expectedErrors: [/404 \(Not Found\)/] });

  test('a link with an escaped # opens the page', async ({ page }) => {
    await page.goto('./#systems=attention+performer&lengths=100,200,300,500,700&width=96&heads=3&seed=4294967295');
    await expect.poll(() => page.evaluate(() => location.hash), { timeout: 30_000 }).toMatch(/^#r=/);
    const letters = (await page.evaluate(() => location.hash)).slice('#r='.length);
    const site = await serveFolder(join(root, 'dist'));
    try {
      for (const address of [`./%23r=${letters}`, `./%23r%3D${letters}`, `./%2523r%253D${letters}.`, `${site.url}%23r=${letters}`, `${site.url}%23r%3D${letters}%3E`]) {
        await page.goto('about:blank');
        await page.goto(address);
        await expect(page.getByTestId('config-width'), address).toHaveValue('96');
        // The address is the link's again.
        await expect.poll(() => page.evaluate(() => location.hash), address).toBe(`#r=${letters}`);
      }
      await page.goto(`${site.url}no/such/page`);
      await expect(page.getByRole('heading', { name: 'There is no such page' })).toBeVisible();
      await page.getByRole('link', { name: 'Crossover' }).first().click();
      await expect(page.getByTestId('config-width')).toBeVisible();
    } finally {
      await site.stop();
    }
  });
});

test('every variant of the worker module is in the site', async ({ request }) => {
  const { workers } = await manifest(request);
  expect(Object.keys(workers).sort()).toEqual([
    'plain', 'relaxed-simd', 'simd128', 'threads-relaxed-simd', 'threads-simd128',
  ]);
});
