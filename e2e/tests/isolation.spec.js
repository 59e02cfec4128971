// The service worker that isolates the page where the host sends no headers.

import { test, expect, plainUrl } from '../support/fixtures.js';

test.use({ serviceWorkers: 'allow' });

test('on a host without headers the page isolates itself with one reload', async ({ page }) => {
  let loads = 0;
  page.on('load', () => { loads += 1; });
  await page.goto(plainUrl());
  await page.waitForFunction(() => window.crossOriginIsolated && window.crossover, undefined, { timeout: 30_000 });
  await expect.poll(() => loads).toBe(2);
  const environment = await page.evaluate(() => window.crossover.environment());
  expect(environment.isolated).toBe(true);
  expect(environment.threads).toBeGreaterThanOrEqual(1);
});

test('a link survives the reload', async ({ page }) => {
  await page.goto(`${plainUrl()}#r=something`);
  await page.waitForFunction(() => window.crossOriginIsolated, undefined, { timeout: 30_000 });
  expect(new URL(page.url()).hash).toBe('#r=something');
});

test('an isolated page does not reload for its service worker', async ({ page }) => {
  let loads = 0;
  page.on('load', () => { loads += 1; });
  await page.goto('./');
  await page.waitForFunction(() => window.crossover && navigator.serviceWorker.controller);
  await expect.poll(() => loads).toBe(1);
  await page.waitForTimeout(1000);
  expect(loads).toBe(1);
});

test('inside a frame nothing is registered and nothing reloads', async ({ page }) => {
  await page.route('**/host.html', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><iframe src="./" title="Crossover"></iframe>' }));
  let loads = 0;
  // Counts requests, not navigations, since the page writes its configuration into the address, which is a navigation,
  // too.
  page.on('request', (request) => { if (request.isNavigationRequest() && request.frame().parentFrame()) loads += 1; });
  await page.goto(`${plainUrl()}host.html`);
  const frame = page.frames()[1];
  await frame.waitForFunction(() => window.crossover);
  await page.waitForTimeout(1000);
  expect(loads).toBe(1);
  expect(await frame.evaluate(() => window.crossOriginIsolated)).toBe(false);
});

test.describe('where service workers are refused', () => {
  test.use({ serviceWorkers: 'block' });

  test('the page runs without', async ({ page }) => {
    await page.goto(plainUrl());
    await page.waitForFunction(() => window.crossover);
    const environment = await page.evaluate(() => window.crossover.environment());
    expect(environment.isolated).toBe(false);
    expect(environment.threads).toBe(1);
  });
});
