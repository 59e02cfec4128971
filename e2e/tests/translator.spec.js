// Browsers' translators replace every text node by a `font` element with the translation. The page must still update.

import { test, expect } from '../support/fixtures.js';
import { Playground } from '../support/playground.js';

/** Adds `window.translate()`, which translates the page's current text as translators do. */
async function withTranslator(page) {
  await page.addInitScript(() => {
    const LEFT = 'script, style, textarea, input, code, pre, [translate="no"], font';
    window.translate = (root = document.body) => {
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      const texts = [];
      while (walker.nextNode()) texts.push(walker.currentNode);
      for (const text of texts) {
        if (!text.data.trim() || text.parentElement?.closest(LEFT)) continue;
        const outer = document.createElement('font');
        const inner = document.createElement('font');
        inner.textContent = `«${text.data.trim()}»`;
        outer.append(inner);
        outer.original = text;
        outer.words = text.data;
        text.parentNode.replaceChild(outer, text);
      }
    };
    /** Restores the original as translators do: with the removed nodes. */
    window.showOriginal = () => {
      for (const font of document.querySelectorAll('font')) if (font.original) font.replaceWith(font.original);
    };
    /** Also translates all later text. */
    window.keepTranslating = () => {
      window.translate();
      new MutationObserver((records) => {
        for (const { target, type } of records) {
          const root = type === 'characterData' ? target.parentElement : target;
          if (root?.isConnected && !root.closest('font')) window.translate(root);
        }
      }).observe(document.body, { childList: true, subtree: true, characterData: true });
    };
  });
}

const words = (locator) => locator.evaluate((element) => element.textContent);
const cells = (playground) => playground.table.locator('tbody td').allTextContents();

test('everything on the page still updates after a translator', async ({ page, context }) => {
  await withTranslator(page);
  const playground = new Playground(page);
  await playground.open();
  await expect(page.getByTestId('history')).toBeVisible();
  await playground.small();
  await page.evaluate(() => window.translate());
  await expect(playground.headline).toContainText('«');
  const lanes = page.locator('.lanes');
  const [headline, lane] = [await words(playground.headline), await words(lanes)];

  await playground.start.click();
  const activities = new Set();
  await expect.poll(async () => activities.add(await words(page.locator('.activity'))).size, { intervals: [100] }).toBeGreaterThan(2);
  await playground.finished();
  expect(await words(playground.headline)).not.toBe(headline);
  expect(await words(playground.headline)).not.toContain('«');
  expect(await words(lanes)).not.toBe(lane);
  expect(await words(lanes)).toMatch(/\d/);
  const measured = await cells(playground);
  expect(measured.length).toBeGreaterThan(6);
  for (const cell of measured.slice(0, 3)) expect(cell).toMatch(/\d/);
  await expect(page.getByTestId('run')).toHaveCount(1);
  // A second race after a second translation: the first one's texts are replaced again.
  await page.evaluate(() => window.translate());
  await page.getByTestId('config-lane-hyena').getByRole('button').last().click();
  await page.getByTestId('config-add-lane').click();
  await page.getByTestId('config-add-performer').click();
  await playground.set('lengths', '32, 64');
  await playground.start.click();
  await playground.finished();
  await expect(page.getByTestId('run')).toHaveCount(2);
  // Past runs are named as on an untranslated page.
  const plain = await context.newPage();
  await plain.goto('./');
  await expect(plain.getByTestId('run')).toHaveCount(2);
  expect(await page.locator('.runs p').allTextContents()).toEqual(await plain.locator('.runs p').allTextContents());
  await plain.close();
  await expect(lanes).toContainText('Performer');
  await expect(playground.table).toContainText('Performer');
  expect((await cells(playground)).join()).not.toBe(measured.join());

  // Errors below fields, and removed texts.
  await page.evaluate(() => window.translate());
  await playground.set('lengths', '16,384');
  await expect(page.getByTestId('config-lengths-error')).toContainText('Did you mean 16384?');
  await page.evaluate(() => window.translate());
  await playground.set('lengths', '0');
  await expect(page.getByTestId('config-lengths-error')).not.toContainText('Did you mean');
  await expect(page.getByTestId('config-lengths-error')).toContainText('1');
  await playground.set('lengths', '64, 128');
  await expect(page.getByTestId('config-lengths-error')).toHaveCount(0);
  await expect(page.getByTestId('config-lengths-note')).toContainText('64 · 128');

  // The page's own languages still replace every text.
  await page.evaluate(() => window.translate());
  await page.getByTestId('language-zh-Hans').click();
  await expect(page.locator('h1')).toHaveText(/^[^«]*[一-鿿]/);
  expect(await page.evaluate(() => [...document.querySelectorAll('.setup legend, .setup h2')].every((element) => !element.textContent.includes('«')))).toBe(true);
});

test('a continuous translator gets new texts and can restore the original', async ({ page }) => {
  await withTranslator(page);
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  const before = await words(page.locator('.intro'));
  await page.evaluate(() => window.keepTranslating());
  const idle = await words(playground.headline);
  await playground.start.click();
  await playground.finished();
  await expect.poll(() => words(playground.headline)).not.toBe(idle);
  await expect.poll(() => words(playground.headline.locator('h2'))).toMatch(/^«[^«]+»$/);
  for (const cell of (await cells(playground)).slice(0, 3)) expect(cell).toMatch(/«[\d.]/);
  expect(await words(page.locator('.intro'))).toBe(`«${before}»`);
  // No text is duplicated.
  expect(await page.evaluate(() => [...document.querySelectorAll('font font')].every((font) => font.parentElement.parentElement.textContent.split(font.textContent).length === 2 || font.textContent.length < 12))).toBe(true);
});

test('the original is shown again where the reader wants it', async ({ page }) => {
  await withTranslator(page);
  const playground = new Playground(page);
  await playground.open();
  const before = await page.evaluate(() => document.querySelector('main').textContent);
  await page.evaluate(() => window.translate());
  expect(await page.evaluate(() => document.querySelector('main').textContent)).not.toBe(before);
  await page.evaluate(() => window.showOriginal());
  expect(await page.evaluate(() => document.querySelector('main').textContent)).toBe(before);
  await playground.set('lengths', '32, 64');
  await expect(page.getByTestId('config-lengths-note')).toContainText('32 · 64');
});
