// The page opens and its engine answers, in every project.

import { test, expect } from '../support/fixtures.js';

test('the page opens on a ready race', async ({ page }) => {
  await page.goto('./');
  await expect(page.getByTestId('start')).toBeEnabled();
  await expect(page.getByTestId('chart')).toBeVisible();
  await expect(page).toHaveTitle(/Crossover/);
});

test('the engine runs with threads on an isolated page', async ({ page }) => {
  await page.goto('./');
  await page.waitForFunction(() => window.crossover);
  const environment = await page.evaluate(() => window.crossover.environment());
  expect(environment.isolated).toBe(true);
  expect(environment.simd).toMatch(/relaxed/);
  expect(environment.cores).toBeGreaterThan(0);
  expect(environment.tickMs).toBeGreaterThan(0);
  expect(environment.tickMs).toBeLessThan(0.1);
});
