// Sharing: a result of one browser opens in another one, offline, with equal numbers.

import { deflateRawSync } from 'node:zlib';
import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { Playground } from '../support/playground.js';
import { cells, openDuel } from '../support/results.js';

/** The link of the shown content. */
async function linkOf(page) {
  await page.getByTestId('share').click();
  const link = await page.getByTestId('share-link').inputValue();
  expect(link).toMatch(/#r=[1234][\w-]+$/);
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
  // To the last digit that either page shows.
  expect(await cells(other)).toEqual(await cells(page));
  await page.keyboard.press('Escape');
  for (const view of ['throughput', 'memory', 'roofline']) {
    for (const each of [page, other]) await each.getByTestId(`view-${view}`).click();
    expect(await cells(other), view).toEqual(await cells(page));
  }
  // The receiver's own link is equal: nothing is lost.
  expect(await linkOf(other)).toBe(link);
  await expect(other).toHaveTitle(/· Crossover$/);
  const description = other.locator('meta[property="og:description"]');
  await expect(description).toHaveAttribute('content', /Measured on .+/);
  await expect(other.locator('meta[property="og:title"]')).toHaveAttribute('content', await other.title());
  await context.close();
});

test('a configured race is shared as a configuration', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.set('width', 48);
  const link = await linkOf(page);
  const config = await page.evaluate((link) => window.crossover.decodeLink(link), link);
  expect((config.config ?? config).width).toBe(48);
});

test('the link is copied, or selected where copying is denied (fault 32)', async ({ page, context }) => {
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

test('the system share sheet is offered where it exists (fault 32)', async ({ page }) => {
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

/** A link of version 1 with a valid checksum around any body. */
function sealed(kind, body) {
  const data = Buffer.concat([Buffer.from([kind]), body]);
  let sum = ~0;
  for (const byte of [0x31, ...data]) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb8_8320 : 0);
  }
  const end = Buffer.alloc(4);
  end.writeUInt32LE(~sum >>> 0);
  return `#r=1${Buffer.concat([data, end]).toString('base64url')}`;
}

test('hostile links are reported and change nothing (faults 21 to 25)', async ({ page }) => {
  await openDuel(page);
  const link = new URL(await linkOf(page)).hash;
  await page.keyboard.press('Escape');
  const before = await cells(page);
  const middle = Math.floor(link.length / 2);
  const flipped = link.slice(0, middle) + (link[middle] === 'A' ? 'B' : 'A') + link.slice(middle + 1);
  const bad = [
    [link.slice(0, middle), /cut off|damaged/], [flipped, /damaged/], [link.slice(0, 6), /damaged/],
    [link.replace(/#r=./, '#r=Z'), /newer Crossover/], [`#r=1${'A'.repeat(66_000)}`, /at most/],
    [sealed(3, deflateRawSync(Buffer.alloc(32 << 20), { level: 9 })), /unpacks to more than/],
    [sealed(1, Buffer.alloc(300, 0xff)), /malformed/], ['#r=javascript:alert(1)', /no race|no `#r=`|newer|link/],
    ['#r=1<img src=x onerror=alert(1)>', /damaged/],
  ];
  for (const [hash, words] of bad) {
    await page.evaluate((hash) => { location.hash = hash; }, hash);
    await expect(page.getByTestId('link-error'), hash.slice(0, 40)).toContainText(words);
    expect(await cells(page)).toEqual(before);
    await expect(page.getByTestId('opened')).toBeVisible();
    await page.getByTestId('link-error').getByRole('button').click();
    await expect(page.getByTestId('link-error')).toHaveCount(0);
  }
});

test('a link during a race is refused with a message (fault 16)', async ({ page }) => {
  const playground = await openDuel(page);
  const link = await linkOf(page);
  await page.keyboard.press('Escape');
  await playground.set('lengths', '64, 8192, 16384');
  await playground.choose('backend', 'cpu');
  await playground.start.click();
  await expect(playground.cancel).toBeVisible();
  await page.evaluate((hash) => { location.hash = hash; }, new URL(link).hash);
  await expect(page.getByTestId('link-error')).toContainText('a race is running');
  await expect(playground.cancel).toBeVisible();
  await expect(page.getByTestId('opened')).toHaveCount(0);
  // The page of a system does not disturb the race.
  await page.evaluate(() => { location.hash = '#system=hyena'; });
  await expect(page.getByTestId('system-dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(playground.cancel).toBeVisible();
  await page.getByTestId('link-error').getByRole('button').click();
  // The address is the race's own again.
  await expect.poll(() => new URL(page.url()).hash).toMatch(/^#r=1/);
  await playground.cancel.click();
  await playground.finished();
  const held = await page.evaluate(() => window.crossover.decodeLink(location.href));
  expect(held.config.lengths).toEqual([64, 8192, 16384]);
  expect(held.report).toBeUndefined();
});

test('a link in the address replaces the result, a bad one does not (faults 21 to 23)', async ({ page }) => {
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
