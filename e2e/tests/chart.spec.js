// The chart as it looks, drawn from a recorded race that a link carries; and the README's picture.

import { readFile } from 'node:fs/promises';
import { test, expect } from '../support/fixtures.js';
import { Playground } from '../support/playground.js';
import { root } from '../support/server.js';

/** Opens the page on a link that holds a recorded report. */
async function openRecorded(page, name) {
  const playground = new Playground(page);
  await playground.open();
  const report = JSON.parse(await readFile(`${root}/www/tests/fixtures/${name}.json`, 'utf8'));
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

test('the picture of the README shows a race that was run here', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  const playground = new Playground(page);
  await playground.open();
  // `CROSSOVER_PICTURE=1` renews the picture itself with a long race; otherwise this only shows that it can be made.
  const renew = Boolean(process.env.CROSSOVER_PICTURE);
  test.setTimeout(300_000);
  await playground.choose('backend', 'cpu');
  await playground.set('lengths', renew ? '256, 512, 1024, 2048, 4096, 8192' : '64, 128, 256');
  await playground.set('budget', renew ? 120 : 10);
  await playground.start.click();
  await playground.finished(200_000);
  const path = renew ? `${root}/docs/playground.png` : test.info().outputPath('playground.png');
  const picture = await page.screenshot({ path, animations: 'disabled' });
  expect(picture.length).toBeGreaterThan(20_000);
});
