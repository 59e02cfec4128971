// Real faults in browsers: device lost, worker crashed, tab hidden, memory exhausted.

import { test, expect, plainUrl } from '../support/fixtures.js';
import { crashedRace, openApi, race, smallRace } from '../support/api.js';

test.describe('GPU', () => {
  test('a device lost during a race ends only the GPU lanes', async ({ page }) => {
    await openApi(page);
    const report = await page.evaluate(async (config) => {
      let lost = false;
      return window.api.race(config, {
        onEvent: (event) => {
          // After the GPU lane's first length, so that the race is in progress.
          const gpu = event.report?.lanes.find((lane) => lane.backend === 'webgpu');
          if (!lost && gpu?.points.some((point) => point.length > 64 && point.samples > 0)) {
            lost = true;
            window.api.loseDevice();
          }
        },
      });
    }, {
      ...smallRace,
      systems: [{ system: 'attention', backend: 'webgpu' }, { system: 'attention', backend: 'cpu' }],
      lengths: [64, 128, 256, 512, 1024],
      budgetMs: 240_000,
    });
    expect(report.status).toBe('done');
    const [gpu, cpu] = report.lanes;
    expect(gpu.points[0].outcome).toBe('ok');
    expect(gpu.points.at(-1).outcome).toBe('device-lost');
    expect(gpu.points.at(-1).message).toBeTruthy();
    expect(cpu.points.map((point) => point.outcome)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok']);
    // A new device for a new race.
    const next = await race(page, { ...smallRace, lengths: [64], backend: 'webgpu' });
    expect(next.report.lanes.map((lane) => lane.points[0].outcome)).toEqual(['ok', 'ok']);
  });

  test('a length beyond the memory ends its lane with a reason', async ({ page }) => {
    test.setTimeout(600_000);
    await openApi(page);
    const { report } = await race(page, {
      systems: [{ system: 'attention-naive', backend: 'cpu' }, { system: 'attention-naive', backend: 'webgpu' }, { system: 'hyena', backend: 'cpu' }],
      // Heads of width one: 2.1 GB of scores for a second of work, so that memory is the limit and not time.
      lengths: [1024, 4096],
      width: 32,
      heads: 32,
      level: 'core',
      // A software adapter with enough memory would need minutes for 4096.
      budgetMs: 900_000,
    });
    expect(report.status).toBe('done');
    for (const lane of report.lanes.slice(0, 2)) {
      expect(lane.points[0].outcome, lane.backend).toBe('ok');
      expect(['memory', 'device-limit'], lane.backend).toContain(lane.points[1].outcome);
      expect(lane.points[1].message, lane.backend).toMatch(/\d/);
      expect(lane.points[1].medianMs, lane.backend).toBeNull();
    }
    expect(report.lanes[2].points[0].outcome).toBe('ok');
  });
});

test.describe('worker', () => {
  test.use({ expectedErrors: [/provoked/, /Failed to load resource/] });

  test('a crash keeps the points measured, and a new race starts', async ({ page }) => {
    await openApi(page);
    const error = await crashedRace(page, (worker) => worker.evaluate(() => { setTimeout(() => { throw new Error('provoked'); }, 0); }));
    expect(error.code).toBe('worker-crashed');
    expect(error.message).toContain('provoked');
    expect(error.measured).toBeGreaterThan(0);
    const { report } = await race(page, { ...smallRace, lengths: [64], backend: 'cpu' });
    expect(report.status).toBe('done');
  });

  test('a module that cannot be loaded is replaced by the next best', async ({ page }) => {
    await page.route('**/worker/threads-*/*_bg.wasm', (route) => route.abort());
    await openApi(page);
    const { report } = await race(page, { ...smallRace, lengths: [64], backend: 'cpu' });
    expect(report.status).toBe('done');
    expect(report.environment.threads).toBe(1);
  });

  test('a failure to load any module is reported', async ({ page }) => {
    await page.route('**/worker/**', (route) => route.fulfill({ status: 404, body: 'gone' }));
    await openApi(page);
    const { error } = await race(page, smallRace);
    expect(error.code).toBe('worker-load-failed');
    expect(error.message).toMatch(/reload/i);
  });

  test('wasm under a wrong type still runs', async ({ page }) => {
    await page.route('**/*_bg.wasm', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, headers: { ...response.headers(), 'content-type': 'application/octet-stream' } });
    });
    await openApi(page);
    const { report } = await race(page, { ...smallRace, lengths: [64], backend: 'cpu' });
    expect(report.status).toBe('done');
  });
});

test('samples in a hidden tab are discarded and reported', async ({ page }) => {
  await openApi(page);
  // Headless Chromium never hides a page, so the getter and the event are replaced.
  await page.evaluate(() => {
    let state = 'visible';
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => state === 'hidden' });
    window.setVisibility = (value) => {
      state = value;
      document.dispatchEvent(new Event('visibilitychange'));
    };
  });
  const report = await page.evaluate(async (config) => {
    let flips = 0;
    return window.api.race(config, {
      onEvent: (event) => {
        // Progress is reported during a sample or just before one.
        if (event.type === 'progress' && event.activity === 'sampling' && flips < 8) {
          flips += 1;
          for (const delay of [0, 40, 80]) setTimeout(() => {
            window.setVisibility('hidden');
            setTimeout(() => window.setVisibility('visible'), 20);
          }, delay);
        }
      },
    });
  }, { systems: ['attention', 'hyena'], lengths: [1024, 2048], width: 128, backend: 'cpu', budgetMs: 60_000 });
  expect(report.status).toBe('done');
  const discarded = report.lanes.flatMap((lane) => lane.points).reduce((sum, point) => sum + point.discarded, 0);
  expect(discarded).toBeGreaterThan(0);
  expect(report.warnings.map((warning) => warning.message).join('\n')).toMatch(/hidden/i);
  for (const point of report.lanes.flatMap((lane) => lane.points)) expect(point.outcome).toBe('ok');
});

test('without isolation the race runs on one thread and says so', async ({ page }) => {
  await openApi(page, plainUrl());
  const { report } = await race(page, { ...smallRace, backend: 'cpu' });
  expect(report.status).toBe('done');
  expect(report.environment.isolated).toBe(false);
  expect(report.environment.threads).toBe(1);
  expect(report.environment.tickMs).toBeGreaterThan(0.01);
});
