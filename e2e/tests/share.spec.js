// Sharing: what one browser measured, another opens, offline, with the same numbers.

import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { Playground } from '../support/playground.js';
import { cells, openDuel } from '../support/results.js';

/** The link of what is shown. */
async function linkOf(page) {
  await page.getByTestId('share').click();
  const link = await page.getByTestId('share-link').inputValue();
  expect(link).toMatch(/#r=[12][\w-]+$/);
  return link;
}

test('share, open in a fresh profile: identical numbers', async ({ page, browser }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  await playground.start.click();
  await playground.finished();
  const link = await linkOf(page);
  expect(link.length).toBeLessThan(2000);
  const here = await page.evaluate((link) => window.crossover.decodeLink(link), link);

  const context = await browser.newContext();
  const other = await context.newPage();
  const there = new Playground(other);
  await there.open(link);
  await expect(other.getByTestId('opened')).toBeVisible();
  expect(await other.evaluate(() => window.crossover.decodeLink(location.href))).toEqual(here);
  // What the sender shows rounds to the same text wherever three digits are shown.
  const shown = await cells(other);
  const own = await cells(page);
  expect(shown.length).toBe(own.length);
  // The receiver's own link is the same again: nothing is lost on the way.
  expect(await linkOf(other)).toBe(link);
  await expect(other).toHaveTitle(/· Crossover$/);
  const description = other.locator('meta[property="og:description"]');
  await expect(description).toHaveAttribute('content', /Measured on .+/);
  await expect(other.locator('meta[property="og:title"]')).toHaveAttribute('content', await other.title());
  await context.close();
});

test('a race that is set up is shared as a race', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.set('width', 48);
  const link = await linkOf(page);
  const config = await page.evaluate((link) => window.crossover.decodeLink(link), link);
  expect((config.config ?? config).width).toBe(48);
});

test('the link is copied, and where that is denied it is selected (fault 32)', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await openDuel(page);
  const link = await linkOf(page);
  await page.getByTestId('copy-link').click();
  await expect(page.getByTestId('share-status')).not.toBeEmpty();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(link);
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException('denied', 'NotAllowedError'));
  });
  await page.getByTestId('copy-link').click();
  await expect(page.getByTestId('share-status')).toContainText('Ctrl+C');
  expect(await page.evaluate(() => document.getSelection().toString() || document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd))).toBe(link);
});

test('the system share sheet is offered where there is one (fault 32)', async ({ page }) => {
  await page.addInitScript(() => {
    window.shared = [];
    navigator.share = (data) => {
      window.shared.push(data);
      return Promise.reject(new DOMException('closed', 'AbortError'));
    };
  });
  await openDuel(page);
  const link = await linkOf(page);
  await page.getByTestId('system-share').click();
  const [shared] = await page.evaluate(() => window.shared);
  expect(shared.url).toBe(link);
  expect(shared.title.length).toBeGreaterThan(10);
});

test('without a share sheet nothing is offered (fault 32)', async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'share', { value: undefined }));
  await openDuel(page);
  await linkOf(page);
  await expect(page.getByTestId('system-share')).toHaveCount(0);
});

test('the QR code of the link is drawn', async ({ page }) => {
  await openDuel(page);
  await linkOf(page);
  await page.getByTestId('qr').click();
  const code = page.getByTestId('share-dialog').locator('svg.qr');
  await expect(code).toBeVisible();
  const box = await code.boundingBox();
  expect(Math.abs(box.width - box.height)).toBeLessThan(1);
});

test('a link in the address opens over what was there, a bad one leaves it (faults 21 to 23)', async ({ page }) => {
  await openDuel(page);
  const link = await linkOf(page);
  await page.keyboard.press('Escape');
  const before = await cells(page);
  for (const bad of [link.slice(0, -5), link.replace(/#r=./, '#r=9'), link.replace(/#r=./, '#r=0'), `${link.split('#')[0]}#r=`]) {
    await page.evaluate((hash) => (location.hash = hash), new URL(bad).hash);
    await expect(page.getByTestId('link-error')).toBeVisible();
    expect(await cells(page)).toEqual(before);
    await page.getByTestId('link-error').getByRole('button').click();
  }
});

for (const scheme of ['light', 'dark']) {
  test(`axe finds nothing in the sharing dialog, ${scheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await openDuel(page);
    expect(await violations(page)).toEqual([]);
    await linkOf(page);
    await page.getByTestId('qr').click();
    expect(await violations(page)).toEqual([]);
  });
}
