// The headers that threads, security and caching need, as the local server sends them.

import { test, expect, plainUrl } from '../support/fixtures.js';

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

test('what is not there is said so, without being kept', async ({ request }) => {
  const response = await request.get('./assets/nothing.js');
  expect(response.status()).toBe(404);
  expect(response.headers()['cache-control']).toBe('no-store');
});

test('every variant of the worker module is in the site', async ({ request }) => {
  const { workers } = await manifest(request);
  expect(Object.keys(workers).sort()).toEqual([
    'plain', 'relaxed-simd', 'simd128', 'threads-relaxed-simd', 'threads-simd128',
  ]);
});
