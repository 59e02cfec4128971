// The authors' own vectors, verified inside the browser on both backends.

import { readdir } from 'node:fs/promises';
import { test, expect } from '../support/fixtures.js';
import { golden, openApi, verify } from '../support/api.js';
import { root } from '../support/server.js';

const folder = `${root}/kernels/golden`;
const systems = (await readdir(folder)).sort();

for (const system of systems) {
  for (const backend of ['cpu', 'webgpu']) {
    test(`golden files of ${system} on ${backend}`, async ({ page }) => {
      // A software adapter takes seconds to compile each pipeline.
      test.setTimeout(400_000);
      await openApi(page);
      const names = (await readdir(`${folder}/${system}`)).filter((name) => name.endsWith('.safetensors')).sort();
      expect(names.length).toBeGreaterThan(0);
      const failed = [];
      for (const name of names) {
        const { result, error } = await verify(page, await golden(system, name), backend);
        if (!result?.pass || result.backend !== backend) failed.push({ name, result, error });
      }
      expect(failed).toEqual([]);
    });
  }
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
