// The authors' own vectors, verified inside the browser on both backends.
//
// On the CPU every file is, since only a browser runs the wasm kernels. On the GPU one file of each level is: a software adapter
// compiles for seconds, and native tests hold every file to the same shaders. CROSSOVER_GOLDEN=all verifies every file there too.

import { readdir } from 'node:fs/promises';
import { test, expect } from '../support/fixtures.js';
import { golden, openApi, verify } from '../support/api.js';
import { root } from '../support/server.js';

const folder = `${root}/kernels/golden`;
const systems = (await readdir(folder)).sort();
const everywhere = process.env.CROSSOVER_GOLDEN === 'all';

/** Names of a system's golden files. */
async function files(system) {
  const names = (await readdir(`${folder}/${system}`)).filter((name) => name.endsWith('.safetensors')).sort();
  expect(names.length, system).toBeGreaterThan(0);
  return names;
}

/** The largest file of each level that a system has files of. */
async function oneOfEachLevel(system) {
  const largest = new Map();
  for (const name of await files(system)) {
    const bytes = await golden(system, name);
    const { level } = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString()).__metadata__;
    if (bytes.length > (largest.get(level)?.size ?? 0)) largest.set(level, { name, size: bytes.length });
  }
  return [...largest.values()].map(({ name }) => name);
}

/** Verifies files in the browser. Returns those that failed, and why. */
async function failures(page, system, names, backend) {
  const failed = [];
  for (const name of names) {
    const { result, error } = await verify(page, await golden(system, name), backend);
    if (!result?.pass || result.backend !== backend) failed.push({ system, name, result, error });
  }
  return failed;
}

test('every golden file passes on the CPU', async ({ page }) => {
  await openApi(page);
  const failed = [];
  for (const system of systems) failed.push(...await failures(page, system, await files(system), 'cpu'));
  expect(failed).toEqual([]);
});

for (const system of systems) {
  test(`golden files of ${system} on webgpu`, async ({ page }) => {
    await openApi(page);
    const names = await (everywhere ? files : oneOfEachLevel)(system);
    expect(await failures(page, system, names, 'webgpu')).toEqual([]);
  });
}

test('a malformed golden file is refused with a code, and the next one is verified', async ({ page }) => {
  await openApi(page);
  const bytes = await golden('attention', 'core_L64_D32_H1.safetensors');
  const header = Buffer.alloc(8);
  header.writeBigUInt64LE(0xffff_ffff_ffffn);
  const bad = {
    empty: Buffer.alloc(0),
    'eight bytes': Buffer.alloc(8),
    'a header that never ends': header,
    'text': Buffer.from('{"not": "safetensors"}'),
    'cut in its header': bytes.subarray(0, 40),
    'cut in its data': bytes.subarray(0, bytes.length - 100),
    'one byte too many': Buffer.concat([bytes, Buffer.from([0])]),
  };
  for (const [what, file] of Object.entries(bad)) {
    const { error, result } = await verify(page, file, 'cpu');
    expect(result, what).toBeUndefined();
    expect(error.name, what).toBe('CrossoverError');
    expect(error.code, what).toMatch(/^[a-z-]+$/);
  }
  // Larger than the engine's limit: refused without a copy.
  const large = await page.evaluate(() => window.api.verify(new Uint8Array(1_500_000_000)).catch(({ name, code }) => ({ name, code })));
  expect(large).toEqual({ name: 'CrossoverError', code: 'golden-too-large' });
  expect((await verify(page, bytes, 'cpu')).result.pass).toBe(true);
});

test('a golden file with a wrong answer does not pass', async ({ page }) => {
  await openApi(page);
  const bytes = Buffer.from(await golden('attention', 'core_L64_D32_H1.safetensors'));
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const tensors = JSON.parse(bytes.subarray(8, 8 + headerLength).toString());
  const at = 8 + headerLength + tensors.y.data_offsets[0];
  bytes.writeFloatLE(bytes.readFloatLE(at) + 1, at);
  for (const backend of ['cpu', 'webgpu']) {
    const { result } = await verify(page, bytes, backend);
    expect(result.pass, backend).toBe(false);
    expect(result.maxAbs, backend).toBeGreaterThan(0.9);
    const stated = JSON.parse(tensors.__metadata__.tolerance);
    expect(result.tolerance, backend).toEqual({ abs: stated.abs, rel: stated.rel });
    expect(result.unread, backend).toEqual([]);
  }
});
