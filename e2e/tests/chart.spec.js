// The chart as it looks, drawn from a recorded race that a link carries; and the README's picture.

import { readFile } from 'node:fs/promises';
import { test, expect } from '../support/fixtures.js';
import { Playground } from '../support/playground.js';
import { root } from '../support/server.js';

/** Opens the page on a link that holds a recorded report. */
async function openRecorded(page, name) {
  const playground = new Playground(page);
  await playground.open();
  const report = JSON.parse(await readFile(`${root}/crates/chart/tests/fixtures/${name}.json`, 'utf8'));
  const link = await page.evaluate((report) => window.crossover.encodeLink(report), report);
  await page.goto('about:blank');
  await playground.open(link);
  await expect(playground.headline).not.toHaveClass(/idle/);
  await page.evaluate(() => document.fonts.ready);
  return playground;
}

for (const scheme of ['light', 'dark']) {
  for (const name of ['duel', 'wall']) {
    test(`the chart of the recorded race "${name}" looks as it did, in ${scheme}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
      const playground = await openRecorded(page, name);
      await expect(playground.chart).toHaveScreenshot(`${name}-${scheme}.png`);
    });
  }
}

test('the pictures of the README and of the page without scripts show a race that was run here', async ({ page }) => {
  await page.setViewportSize({ width: 1400, height: 980 });
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  const playground = new Playground(page);
  await playground.open();
  // `CROSSOVER_PICTURE=1` updates the pictures by a long race. Otherwise the test only shows that they can be
  // generated.
  const renew = Boolean(process.env.CROSSOVER_PICTURE);
  test.setTimeout(300_000);
  await playground.choose('backend', 'cpu');
  await playground.set('lengths', renew ? '4..8192' : '64, 128, 256');
  await playground.set('budget', renew ? 120 : 10);
  // The mixing alone: with projections, Hyena leads from the start on many machines.
  await playground.choose('level', 'core');
  await playground.start.click();
  await playground.finished(200_000);
  const path = (committed) => (renew ? `${root}/${committed}` : test.info().outputPath(committed));
  await page.getByRole('heading', { level: 1 }).hover();
  const picture = await page.screenshot({ path: path('docs/playground.png'), animations: 'disabled' });
  expect(picture.length).toBeGreaterThan(20_000);
  // The figure for papers itself states the problem, the machine and the date.
  await page.getByTestId('export').click();
  const [figure] = await Promise.all([page.waitForEvent('download'), page.getByTestId('download-svg').click()]);
  await figure.saveAs(path('www/static/example.svg'));
  expect(await readFile(path('www/static/example.svg'), 'utf8')).toMatch(/CPU.*\d{4}-\d{2}-\d{2}/s);
});
