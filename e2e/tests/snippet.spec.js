// The HTML that the playground provides: its preview, and that it works in another page.

import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { frameOf, host } from '../support/host.js';
import { Playground } from '../support/playground.js';
import { cells, openDuel } from '../support/results.js';

/** @type {Awaited<ReturnType<typeof host>>} */
let other;
test.beforeEach(async () => { other = await host(); });
test.afterEach(() => other.stop());

const code = (page) => page.getByTestId('embed-code');

async function opened(page) {
  await page.getByTestId('embed-open').click();
  await expect(page.getByTestId('embed-dialog')).toBeVisible();
}

/** Another site's article with the pasted HTML. */
async function paste(page, html) {
  other.pages['/'] = { body: `<!doctype html><html lang="en"><title>An article</title><link rel="icon" href="data:,"><h1>An article</h1>\n${html}` };
  await page.goto(other.url);
  return frameOf(page);
}

test('the HTML of a result shows that result in another page, and leads back to the same numbers', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await openDuel(page);
  const numbers = await cells(page);
  await opened(page);
  // The preview is the element of that HTML.
  const preview = await frameOf(page);
  await preview.getByTestId('press').click();
  await expect(preview.getByTestId('chart').locator('.line').first()).toBeAttached();
  await page.getByTestId('embed-copy').click();
  await expect(page.getByTestId('embed-status')).not.toBeEmpty();
  const html = await page.evaluate(() => navigator.clipboard.readText());
  expect(html).toBe(await code(page).inputValue());

  const article = await context.newPage();
  const frame = await paste(article, html);
  await frame.getByTestId('press').click();
  await expect(frame.getByTestId('chart').locator('.line').first()).toBeAttached();
  expect(await article.evaluate(() => document.querySelector('crossover-race').state)).toBe('idle');
  const [full] = await Promise.all([context.waitForEvent('page'), frame.getByTestId('full').click()]);
  await expect(full.getByTestId('opened')).toBeVisible();
  expect(await cells(full)).toEqual(numbers);
  // Without scripts the link inside has the same target.
  const link = await article.evaluate(() => document.querySelector('crossover-race a').href);
  await full.goto(link);
  await expect(full.getByTestId('opened')).toBeVisible();
  expect(await cells(full)).toEqual(numbers);
});

test('the HTML of a race that is set up races it in another page, as it was chosen', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  await opened(page);
  await expect(page.getByTestId('embed-what')).toBeHidden();
  await page.getByTestId('embed-theme').selectOption('dark');
  const html = await code(page).inputValue();
  expect(html).toContain('lengths="64..256"');
  expect(html).toContain('theme="dark"');
  expect(html).not.toContain('autoplay');
  await page.getByTestId('embed-autoplay').check();
  await expect(code(page)).toHaveValue(/ autoplay="visible"/);
  await page.goto('about:blank');
  const frame = await paste(page, html);
  await expect.poll(() => frame.evaluate(() => getComputedStyle(document.body).colorScheme)).toBe('dark');
  const report = await page.evaluate(() => document.querySelector('crossover-race').start());
  expect(report.status).toBe('done');
  expect([report.config.width, report.config.heads, report.config.lengths, report.config.backend]).toEqual([32, 2, [64, 128, 256], 'cpu']);
});

test('where copying is denied the HTML is selected (fault 32)', async ({ page }) => {
  await openDuel(page);
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException('denied', 'NotAllowedError'));
  });
  await opened(page);
  await page.getByTestId('embed-copy').click();
  await expect(page.getByTestId('embed-status')).toContainText('Ctrl+C');
  expect(await code(page).evaluate((field) => field.value.slice(field.selectionStart, field.selectionEnd))).toBe(await code(page).inputValue());
});

for (const [scheme, lang, width] of [['light', 'en', 1280], ['dark', 'zh-Hans', 1280], ['light', 'zh-Hans', 390], ['dark', 'en', 320]]) {
  test(`axe finds nothing in the dialog, and it fits: ${scheme}, ${lang}, ${width} px`, async ({ page }) => {
    await page.setViewportSize({ width, height: 844 });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.addInitScript((lang) => localStorage.setItem('language', lang), lang);
    await openDuel(page);
    await opened(page);
    expect(await violations(page)).toEqual([]);
    const dialog = page.getByTestId('embed-dialog');
    const box = await dialog.boundingBox();
    expect(box.x).toBeGreaterThanOrEqual(0);
    expect(box.x + box.width).toBeLessThanOrEqual(width);
    expect(await dialog.evaluate((element) => element.scrollWidth - element.clientWidth)).toBeLessThanOrEqual(0);
    if (lang !== 'en') await expect(dialog.getByRole('heading', { level: 2 })).toHaveText(/\p{Script=Han}/u);
  });
}
