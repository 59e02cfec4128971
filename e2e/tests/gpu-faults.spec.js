// Faulty adapters and devices (faults 1 to 3 and 8), simulated in the worker, where the engine uses them.

import { test, expect, plainUrl } from '../support/fixtures.js';
import { openApi, race, smallRace } from '../support/api.js';
import { beforeEngine } from '../support/boot.js';

// Chromium itself logs messages about adapters on the console.
test.use({ expectedErrors: [/adapter|GPU|WebGPU/i] });

const small = { ...smallRace, lengths: [64, 128] };

/** The GPU is missing for this reason, and the race runs on the CPU. */
async function racesWithout(page, words) {
  const environment = await page.evaluate(() => window.api.environment());
  expect(environment.gpu).toBeNull();
  expect(environment.gpuMissing).toMatch(words);
  const { report } = await race(page, { ...small, backend: 'auto' });
  expect(report.lanes.every((lane) => lane.backend === 'cpu' && lane.points.every((point) => point.outcome === 'ok'))).toBe(true);
}

test('fault 1, no WebGPU on a secure page: another browser is the remedy', async ({ page }) => {
  await beforeEngine(page, "Object.defineProperty(WorkerNavigator.prototype, 'gpu', { value: undefined });");
  await openApi(page);
  await racesWithout(page, /this browser has no WebGPU/);
});

test('fault 1, an insecure page: https is the remedy, and the playground races', async ({ page }) => {
  // Over http, any host other than the loopback is insecure.
  await page.route('http://crossover.test/**', async (route) => {
    const { pathname, search } = new URL(route.request().url());
    await route.fulfill({ response: await route.fetch({ url: new URL(pathname.slice(1) + search, plainUrl()).href }) });
  });
  await page.goto('http://crossover.test/');
  await page.waitForFunction(() => window.crossover);
  expect(await page.evaluate(() => window.isSecureContext)).toBe(false);
  const environment = await page.evaluate(() => window.crossover.environment());
  expect(environment.gpuMissing).toMatch(/https:\/\//);
  await expect(page.getByTestId('hardware')).toContainText('https://');
  const report = await page.evaluate((config) => window.crossover.race(config), small);
  expect(report.lanes.every((lane) => lane.backend === 'cpu' && lane.points.every((point) => point.outcome === 'ok'))).toBe(true);
});

for (const [name, answer, words] of [
  ['null', 'Promise.resolve(null)', /no GPU adapter/],
  ['an error', "Promise.reject(new DOMException('provoked', 'OperationError'))", /no GPU adapter/],
  ['nothing for ever', 'new Promise(() => {})', /no answer within 5 s/],
]) {
  test(`fault 2, requestAdapter answers ${name}: the race is the CPU’s`, async ({ page }) => {
    await beforeEngine(page, `GPU.prototype.requestAdapter = () => ${answer};`);
    await openApi(page);
    await racesWithout(page, words);
  });
}

for (const [name, answer] of [
  ['a limit it does not have', "throw new DOMException('provoked: a limit', 'OperationError')"],
  ['a feature it does not know', "throw new TypeError('provoked: a feature')"],
  ['a second device of a consumed adapter', 'await original.call(this); return original.call(this, wanted)'],
]) {
  test(`fault 3, requestDevice refuses ${name}: the race is the CPU’s`, async ({ page }) => {
    await beforeEngine(page, `const original = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function (wanted) { ${answer}; };`);
    await openApi(page);
    await racesWithout(page, /refused a device/);
  });
}

test('fault 3, a device lost on arrival ends only the GPU lanes', async ({ page }) => {
  await beforeEngine(page, `const original = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (wanted) {
      const device = await original.call(this, wanted);
      device.destroy();
      return device;
    };`);
  await openApi(page);
  const systems = [{ system: 'attention', backend: 'cpu' }, { system: 'attention', backend: 'webgpu' }];
  const outcomes = async () => (await race(page, { ...small, systems })).report.lanes.map((lane) => lane.points.map((point) => point.outcome));
  expect(await outcomes()).toEqual([['ok', 'ok'], ['device-lost', 'device-lost']]);
  // Before and after the engine stops requesting devices.
  const [cpu, gpu] = await outcomes();
  expect(cpu).toEqual(['ok', 'ok']);
  expect([['device-lost', 'device-lost'], ['no-backend', 'no-backend']]).toContainEqual(gpu);
});

test('fault 8, the GPU process crashes while idle, during a race and again', async ({ playwright, launchOptions }) => {
  // After such crashes the browser has no adapters, so this browser is not shared with other tests.
  const browser = await playwright.chromium.launch(launchOptions);
  try {
    const page = await (await browser.newContext({ baseURL: process.env.CROSSOVER_URL })).newPage();
    const devtools = await browser.newBrowserCDPSession();
    const crash = () => devtools.send('Browser.crashGpuProcess').catch(() => {});
    await openApi(page);
    const onGpu = { ...small, systems: ['attention'], backend: 'webgpu' };
    const first = await race(page, onGpu);
    expect(first.report.lanes[0].points.map((point) => point.outcome)).toEqual(['ok', 'ok']);

    // While idle: the next race requests another device.
    await crash();
    await page.waitForTimeout(1000);
    const second = await race(page, onGpu);
    expect(second.report.lanes[0].points.map((point) => point.outcome)).toEqual(['ok', 'ok']);

    // During a race: the lane ends with the reason, and the CPU lane continues.
    await page.evaluate((config) => {
      window.halfway = new Promise((resolve) => {
        window.result = window.api.race(config, {
          onEvent: (event) => event.report?.lanes[0].points.some((point) => point.samples > 0) && resolve(),
        });
      });
    }, {
      ...small,
      systems: [{ system: 'attention', backend: 'webgpu' }, { system: 'attention', backend: 'cpu' }],
      lengths: [64, 128, 256, 512, 1024, 2048],
    });
    await page.evaluate(() => window.halfway);
    await crash();
    const report = await page.evaluate(() => window.result);
    const [gpu, cpu] = report.lanes;
    expect(report.status).toBe('done');
    expect(gpu.points.at(-1).outcome).toBe('device-lost');
    expect(gpu.points.at(-1).message).toBeTruthy();
    expect(cpu.points.every((point) => point.outcome === 'ok')).toBe(true);

    // After the second loss no device is requested, and the reason is stated.
    const last = await race(page, onGpu);
    expect(last.report.lanes[0].points.map((point) => point.outcome)).toEqual(['no-backend', 'no-backend']);
    expect(last.report.lanes[0].points[0].message).toMatch(/lost twice/);
    expect((await race(page, { ...small, backend: 'cpu' })).report.status).toBe('done');
  } finally {
    await browser.close();
  }
});
