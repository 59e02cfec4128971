// Browsers without a usable GPU: the page states the reason and races on the CPU.

import { test, expect } from '../support/fixtures.js';
import { openApi, race, smallRace } from '../support/api.js';

// Chromium itself says on the console that it found no adapter.
test.use({ expectedErrors: [/adapter/i] });

test('without an adapter the reason is stated and "auto" is the CPU', async ({ page }) => {
  await openApi(page);
  const environment = await page.evaluate(() => window.api.environment());
  expect(environment.gpu).toBeNull();
  expect(environment.gpuMissing).toBeTruthy();
  const { report } = await race(page, { ...smallRace, backend: 'auto' });
  expect(report.status).toBe('done');
  for (const lane of report.lanes) {
    expect(lane.backend).toBe('cpu');
    expect(lane.verification.pass).toBe(true);
    expect(lane.points.every((point) => point.outcome === 'ok')).toBe(true);
  }
});

test('a lane on a missing GPU has a reason, and the CPU lanes race', async ({ page }) => {
  await openApi(page);
  const { report } = await race(page, {
    ...smallRace,
    systems: [{ system: 'attention', backend: 'cpu' }, { system: 'attention', backend: 'webgpu' }],
  });
  expect(report.lanes[0].points.every((point) => point.outcome === 'ok')).toBe(true);
  for (const point of report.lanes[1].points) {
    expect(point.outcome).toBe('no-backend');
    expect(point.message).toBeTruthy();
  }
});

test('without the API at all the race runs too', async ({ page }) => {
  // Removed in the worker, which would use the device.
  await page.route('**/worker-boot.js', async (route) => {
    const response = await route.fetch();
    const body = `Object.defineProperty(WorkerNavigator.prototype, 'gpu', { value: undefined });\n${await response.text()}`;
    await route.fulfill({ response, body });
  });
  await openApi(page);
  const { report } = await race(page, { ...smallRace, lengths: [64, 128], backend: 'auto' });
  expect(report.environment.gpu).toBeNull();
  expect(report.environment.gpuMissing).toBeTruthy();
  expect(report.lanes.every((lane) => lane.backend === 'cpu' && lane.points.every((point) => point.outcome === 'ok'))).toBe(true);
});

test('the page says that there is no GPU and its race runs on the CPU', async ({ page }) => {
  await page.goto('./');
  await expect(page.getByTestId('hardware')).toContainText(/WebGPU|GPU/);
  await page.getByTestId('start').click();
  // There is no other backend, so a measured time is the CPU's.
  await expect(page.getByTestId('results-table')).toContainText(/\d\s(ms|µs)/u, { timeout: 60_000 });
  await page.getByTestId('cancel').click();
  await expect(page.getByTestId('start')).toBeVisible();
});
