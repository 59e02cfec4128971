// Accessibility: large type, small screens, forced colours, reduced motion, other directions and languages, screen
// readers, keyboards, touch, print (fault 33); and browsers without scripts or wasm (fault 34).

import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { Playground } from '../support/playground.js';
import { file, openDuel, wall } from '../support/results.js';

/** How far the page extends beyond its right edge. */
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Every dialog, by the button that opens it. */
const DIALOGS = [['share', 'share-dialog'], ['export', 'export-dialog'], ['help', 'help-dialog'], ['system-hyena', 'system-dialog']];

for (const [name, viewport, scale] of [['zoom of 400 %', { width: 320, height: 256 }, 4], ['320 px', { width: 320, height: 640 }, 1]]) {
  test.describe(name, () => {
    test.use({ viewport, deviceScaleFactor: scale });

    test(`fault 33, ${name}: a race and every dialog fit without sideways scrolling`, async ({ page }) => {
      const playground = new Playground(page);
      await playground.open();
      expect(await overflow(page)).toBeLessThanOrEqual(0);
      await playground.small();
      await playground.start.click();
      await playground.finished();
      expect(await overflow(page)).toBeLessThanOrEqual(0);
      // Dropped lanes have more text, and a comparison is wider still.
      await page.getByTestId('compare-files').setInputFiles(file('wall.json', await wall()));
      await expect(page.getByTestId('compared')).toHaveCount(2);
      await page.getByTestId('compared').nth(1).getByRole('button').first().click();
      await expect(page.getByTestId('opened')).toBeVisible();
      expect(await overflow(page)).toBeLessThanOrEqual(0);
      for (const [button, dialog] of DIALOGS) {
        await page.getByTestId(button).click();
        const shown = page.getByTestId(dialog);
        await expect(shown).toBeVisible();
        const box = await shown.boundingBox();
        expect(box.x, dialog).toBeGreaterThanOrEqual(0);
        expect(box.x + box.width, dialog).toBeLessThanOrEqual(320);
        expect(await shown.evaluate((element) => element.scrollWidth - element.clientWidth), dialog).toBeLessThanOrEqual(0);
        // Content longer than the screen scrolls, so that its end is reachable.
        await shown.evaluate((element) => element.scrollTo(0, element.scrollHeight));
        await page.keyboard.press('Escape');
        await expect(shown).toBeHidden();
      }
    });
  });
}

test('fault 33, forced colours: marks, states and focus do not rest on colour', async ({ page }) => {
  await page.emulateMedia({ forcedColors: 'active' });
  const playground = await openDuel(page);
  const look = await page.evaluate(() => {
    const style = (selector, property) => getComputedStyle(document.querySelector(selector))[property];
    return {
      line: style('[data-testid=chart] .lane .line', 'stroke'),
      ground: style('.card.race', 'backgroundColor'),
      chosen: style('[data-testid=view-time]', 'backgroundColor'),
      other: style('[data-testid=view-memory]', 'backgroundColor'),
      fill: style('.lane-bar i', 'backgroundColor'),
      shapes: new Set([...document.querySelectorAll('.lane-name .marker')].map((marker) => marker.getAttribute('d').replace(/[\d.]+/g, ''))).size,
    };
  });
  expect(look.line).not.toBe(look.ground);
  expect(look.chosen).not.toBe(look.other);
  expect(look.fill).not.toBe(look.ground);
  expect(look.shapes).toBe(2);
  await playground.start.focus();
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Tab');
  expect(await playground.start.evaluate((element) => getComputedStyle(element).outlineStyle)).not.toBe('none');
  expect(await violations(page)).toEqual([]);
});

test('fault 33, reduced motion: nothing moves by itself during a race', async ({ page }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' });
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  await playground.set('lengths', '64, 128, 256, 4096');
  await playground.start.click();
  await expect(playground.chart.locator('.line').first()).toBeAttached();
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
  expect(await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior)).toBe('auto');
  // It may be over by now.
  await page.getByTestId('cancel').click({ timeout: 2000 }).catch(() => {});
  await playground.finished();
});

test('fault 33, right to left: the page is mirrored, the chart is not', async ({ page }) => {
  await page.addInitScript(() => document.addEventListener('DOMContentLoaded', () => document.documentElement.setAttribute('dir', 'rtl')));
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 844 });
    const playground = await openDuel(page);
    expect(await overflow(page)).toBeLessThanOrEqual(0);
    const box = async (locator) => locator.boundingBox();
    if (width === 1280) expect((await box(page.getByTestId('config'))).x).toBeLessThan((await box(playground.chart)).x);
    // Ticks stay left of the plot, and names at the lines' right ends stay inside the chart.
    const outside = await playground.chart.evaluate((chart) => {
      const frame = chart.getBoundingClientRect();
      return [...chart.querySelectorAll('text')]
        .map((text) => [text.textContent, text.getBoundingClientRect()])
        .filter(([, rect]) => rect.left < frame.left - 1 || rect.right > frame.right + 1)
        .map(([words]) => words);
    });
    expect(outside).toEqual([]);
    const [first, last] = await playground.chart.evaluate((chart) => {
      const spots = [...chart.querySelectorAll('.spot')].map((spot) => Number(spot.getAttribute('cx')));
      return [spots[0], spots.at(-1)];
    });
    expect(first).toBeLessThan(last);
  }
});

test.describe('a browser that prefers Chinese', () => {
  test.use({ locale: 'zh-CN' });

  test('the language follows the browser, can be switched and is stored', async ({ page }) => {
    const playground = await openDuel(page);
    await expect(page.locator('html')).toHaveAttribute('lang', 'zh-Hans');
    await expect(page).toHaveTitle(/\p{Script=Han}/u);
    await expect(playground.headline.getByRole('heading')).toHaveText(/\p{Script=Han}/u);
    const rows = await playground.table.getByRole('row').count();
    await page.getByTestId('language-en').click();
    await expect(page.locator('html')).toHaveAttribute('lang', 'en');
    await expect(page.getByTestId('language-zh-Hans')).toBeFocused();
    await expect(playground.headline.getByRole('heading')).toHaveText(/Hyena overtakes attention/);
    await expect(page.getByTestId('opened')).toBeVisible();
    await expect(playground.table.getByRole('row')).toHaveCount(rows);
    await page.reload();
    await expect(page.locator('html')).toHaveAttribute('lang', 'en');
    await page.getByTestId('language-zh-Hans').click();
    await page.reload();
    await expect(page.locator('html')).toHaveAttribute('lang', 'zh-Hans');
  });

  test('no dialog and no message is left in English', async ({ page }) => {
    const playground = await openDuel(page);
    /** Visible or announced texts with four words of Latin letters in a row, except quotations. */
    const english = (root) => page.locator(root).evaluate((root) => {
      const found = new Set();
      const keep = (words) => { if (/(?:\b[A-Za-z][a-z’'-]+[\s,]+){3}[a-z]/.test(words)) found.add(words.trim()); };
      const quoted = 'pre, code, textarea, math, cite, [lang=en], .words, input, a[href^=http], [data-testid=hardware] dd';
      const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      while (walk.nextNode()) {
        const { parentElement, textContent } = walk.currentNode;
        if (parentElement && !parentElement.closest(quoted) && parentElement.checkVisibility()) keep(textContent);
      }
      for (const element of root.querySelectorAll('[aria-label], [title], [placeholder]')) {
        if (element.closest(quoted)) continue;
        for (const name of ['aria-label', 'title', 'placeholder']) keep(element.getAttribute(name) ?? '');
      }
      return [...found];
    });
    await page.getByTestId('compare-files').setInputFiles(file('wall.json', await wall()));
    await expect(page.getByTestId('compared')).toHaveCount(2);
    await page.getByTestId('config-heads').fill('3');
    for (const bad of ['#r=1broken', '#r=9AAAA', '#r=']) {
      await page.evaluate((hash) => { location.hash = hash; }, bad);
      await expect(page.getByTestId('link-error')).toHaveText(/\p{Script=Han}/u);
      expect(await english('body')).toEqual([]);
    }
    await page.getByTestId('compare-paste').fill('hello');
    await page.getByTestId('compare-paste').press('Enter');
    await expect(page.getByTestId('refused')).toHaveText(/\p{Script=Han}/u);
    expect(await english('body')).toEqual([]);
    for (const [button, dialog] of [...DIALOGS, ['embed-open', 'embed-dialog']]) {
      if (button === 'embed-open') await page.getByTestId('config-heads').fill('4');
      await page.getByTestId(button).click();
      await expect(page.getByTestId(dialog)).toBeVisible();
      expect(await english(`[data-testid=${dialog}]`), dialog).toEqual([]);
      await page.keyboard.press('Escape');
    }
    await playground.small();
    await playground.start.click();
    await expect(page.getByTestId('announcer')).toHaveText(/\p{Script=Han}/u);
    await playground.finished();
    await expect(page.getByTestId('run')).toHaveCount(1);
    expect(await english('body')).toEqual([]);
  });

  for (const [name, prepare] of [
    ['switched off', (page) => page.addInitScript(() => delete window.WebAssembly)],
    ['kept away', (page) => page.route('**/*.wasm', (route) => route.abort())],
  ]) {
    test.describe(`wasm ${name}`, () => {
      test.use({ expectedErrors: [/Failed to load resource|ERR_FAILED|WebAssembly|wasm/i] });
      test(`fault 34, wasm ${name}: the page says so in Chinese`, async ({ page }) => {
        await prepare(page);
        await page.goto('./');
        await expect(page.locator('#panic')).toBeVisible();
        for (const id of ['#panic-title', '#panic-text', '#panic a']) await expect(page.locator(id)).toHaveText(/\p{Script=Han}/u);
        await expect(page.locator('html')).toHaveAttribute('lang', 'zh-Hans');
      });
    });
  }
});

test('fault 33, a missing translation: readers of other languages get a whole page in English', async ({ page }) => {
  await page.addInitScript(() => {
    Object.defineProperty(navigator, 'languages', { value: ['tlh', 'xx-XX'] });
    try {
      localStorage.setItem('language', 'tlh');
    } catch {
      // Nothing is stored in this case, either.
    }
  });
  const playground = new Playground(page);
  await playground.open();
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  await expect(playground.start).toContainText('Start');
});

test.describe('where a translation cannot be loaded', () => {
  test.use({ expectedErrors: [/Failed to load resource|ERR_FAILED/] });
  test('fault 33, a missing translation of the systems leaves the page working', async ({ page }) => {
    await page.addInitScript(() => localStorage.setItem('language', 'zh-Hans'));
    await page.route('**/systems.zh.json', (route) => route.fulfill({ status: 404, body: '' }));
    const playground = new Playground(page);
    await playground.open();
    await expect(page.locator('html')).toHaveAttribute('lang', 'zh-Hans');
    await playground.small();
    await playground.start.click();
    await playground.finished();
    await expect(playground.table).toContainText('Hyena');
  });
});

test('fault 33, screen readers: progress is announced at intervals, the result once', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await page.evaluate(() => {
    window.said = [];
    const live = document.querySelector('[role=status][aria-live=polite][data-testid=announcer]');
    new MutationObserver(() => {
      const words = live.textContent;
      if (words && window.said.at(-1)?.words !== words) window.said.push({ at: performance.now(), words });
    }).observe(live, { childList: true, characterData: true, subtree: true });
  });
  await playground.choose('backend', 'cpu');
  await playground.set('lengths', '64, 128, 256, 512, 1024, 2048');
  await playground.set('budget', 40);
  await playground.start.click();
  await expect(playground.cancel).toBeVisible();
  await expect(page.getByRole('progressbar')).toHaveAttribute('aria-valuenow', /^\d+$/);
  await playground.finished(120_000);
  const said = await page.evaluate(() => window.said);
  // The result also contains the percentage of its interval.
  const progress = said.filter(({ words }) => /^\d+% done\./.test(words));
  expect(progress.length, JSON.stringify(said)).toBeGreaterThan(0);
  for (let index = 1; index < progress.length; index += 1) {
    expect(progress[index].at - progress[index - 1].at, JSON.stringify(said)).toBeGreaterThan(3000);
  }
  const headline = await playground.headline.getByRole('heading').innerText();
  expect(said.at(-1).words.replace(/\s+/g, ' ')).toContain(headline.replace(/\s+/g, ' '));
  // The chart's tabular form: a table whose cells have their lane and length as headers.
  await expect(playground.table.getByRole('rowheader').first()).toBeVisible();
  await expect(playground.table.getByRole('columnheader', { name: '2,048' })).toBeVisible();
  await expect(playground.chart.getByRole('img').first()).toHaveAttribute('aria-label', /64/);
});

test('fault 33, keyboard only: race, read and share', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  const focused = () => page.evaluate(() => document.activeElement?.dataset?.testid ?? document.activeElement?.id ?? '');
  /** Presses Tab until the element with this test id has the focus. */
  const tabTo = async (id, limit = 120) => {
    for (let step = 0; step < limit && (await focused()) !== id; step += 1) await page.keyboard.press('Tab');
    expect(await focused()).toBe(id);
  };
  for (const [field, value] of [['lengths', '64, 128, 256'], ['width', '32'], ['heads', '2']]) {
    await tabTo(`config-${field}`);
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type(value);
  }
  await tabTo('config-backend-auto');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('config-backend-cpu')).toBeChecked();
  // Once around the page, back to its start.
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await tabTo('start');
  await page.keyboard.press('Enter');
  await expect(playground.cancel).toBeFocused();
  await playground.finished();
  await expect(playground.start).toBeFocused();
  // Into the chart, along a lane.
  for (let step = 0; step < 20 && !(await focused()).startsWith('spot-'); step += 1) await page.keyboard.press('Tab');
  await expect(page.locator('#spot-0-64')).toBeFocused();
  await page.keyboard.press('ArrowRight');
  await expect(page.locator('#spot-0-128')).toBeFocused();
  await expect(page.locator('.tip')).toBeVisible();
  await page.keyboard.press('End');
  await expect(page.locator('#spot-0-256')).toBeFocused();
  // To the results by their letter, and on to sharing.
  await page.keyboard.press('r');
  expect(await focused()).toBe('results');
  await page.keyboard.press('g');
  await tabTo('share');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('share-dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('share')).toBeFocused();
});

test('fault 33, print: the result is dark on white, without controls', async ({ page }) => {
  await page.addInitScript(() => localStorage.setItem('theme', 'dark'));
  await page.emulateMedia({ colorScheme: 'dark' });
  const playground = await openDuel(page);
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  // The width of A4 between its margins.
  await page.setViewportSize({ width: 720, height: 1000 });
  for (const shown of [playground.headline, playground.chart, playground.table, page.getByTestId('hardware')]) await expect(shown).toBeVisible();
  for (const id of ['start', 'config', 'share', 'history', 'theme', 'view-memory', 'compare-files']) await expect(page.getByTestId(id), id).toBeHidden();
  const print = await page.evaluate(() => ({
    ink: getComputedStyle(document.querySelector('[data-testid=headline] h2')).color,
    cut: (() => {
      const table = document.querySelector('[data-testid=results-table]');
      return table.getBoundingClientRect().right - document.documentElement.clientWidth;
    })(),
  }));
  const [r, g, b] = print.ink.match(/\d+/g).map(Number);
  expect(Math.max(r, g, b)).toBeLessThan(80);
  expect(print.cut, 'the table beyond the paper').toBeLessThanOrEqual(0);
  expect((await page.pdf({ format: 'A4' })).length).toBeGreaterThan(10_000);
});

test.describe('a phone held upright', () => {
  test.use({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });

  test('fault 33, touch: taps race, points respond, targets are large enough', async ({ page }) => {
    const playground = new Playground(page);
    await playground.open();
    await playground.small();
    await playground.start.tap();
    await playground.finished();
    const spot = page.locator('#spot-1-128');
    await spot.scrollIntoViewIfNeeded();
    const box = await spot.boundingBox();
    await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
    await expect(page.locator('.tip')).toBeVisible();
    const tip = await page.locator('.tip').boundingBox();
    expect(tip.x).toBeGreaterThanOrEqual(0);
    expect(tip.x + tip.width).toBeLessThanOrEqual(390);
    await page.getByTestId('view-memory').tap();
    await expect(page.getByTestId('view-memory')).toHaveAttribute('aria-checked', 'true');
    // WCAG 2.5.8: 24 by 24 pixels, except text in a line.
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('button, select, summary, .segments label')]
        .map((element) => [element.dataset.testid ?? element.className, element.getBoundingClientRect()])
        .filter(([, { width, height }]) => width > 0 && (width < 24 || height < 24))
        .map(([name, { width, height }]) => `${name} ${Math.round(width)}×${Math.round(height)}`),
    );
    expect(small).toEqual([]);
    // The chart lets the page scroll under the finger.
    expect(await playground.chart.evaluate((chart) => getComputedStyle(chart).touchAction)).toContain('pan-y');
  });
});

for (const scheme of ['light', 'dark']) {
  test(`axe finds nothing in states between start and end, ${scheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    const playground = new Playground(page);
    await playground.open();
    // An invalid configuration, with everything open.
    await page.getByTestId('preset-everything').click();
    await page.getByTestId('config-add-lane').click();
    for (const summary of await page.locator('.lane-params summary').all()) await summary.click();
    await playground.set('heads', '3');
    await expect(page.getByTestId('config-heads-error')).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await page.getByTestId('preset-attention-hyena').click();
    // Racing, cancelled.
    await playground.choose('backend', 'cpu');
    await playground.set('lengths', '64, 8192, 16384');
    await playground.start.click();
    await expect(playground.chart.locator('.marker').first()).toBeAttached();
    expect(await violations(page)).toEqual([]);
    await playground.cancel.click();
    await playground.finished();
    expect(await violations(page)).toEqual([]);
    // A link that could not be read, and help.
    await page.evaluate(() => (location.hash = '#r=1broken'));
    await expect(page.getByTestId('link-error')).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await page.getByTestId('help').click();
    await expect(page.getByTestId('help-dialog')).toBeVisible();
    expect(await violations(page)).toEqual([]);
  });

  test(`axe finds nothing in any view, nor in Chinese, ${scheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await page.addInitScript(() => localStorage.setItem('language', 'zh-Hans'));
    await openDuel(page);
    for (const view of ['throughput', 'gflops', 'bandwidth', 'memory', 'roofline', 'time']) {
      await page.getByTestId(`view-${view}`).click();
      expect(await violations(page), view).toEqual([]);
    }
  });
}

test.describe('where the engine cannot be loaded', () => {
  test.use({ expectedErrors: [/Failed to load resource/] });

  for (const scheme of ['light', 'dark']) {
    test(`axe finds nothing, and the reason is on the page, ${scheme}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme: scheme });
      await page.route('**/worker/**', (route) => route.fulfill({ status: 404, body: 'gone' }));
      await page.goto('./');
      await expect(page.getByTestId('error')).toContainText('worker-load-failed', { timeout: 60_000 });
      expect(await violations(page)).toEqual([]);
    });
  }
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });
  test('fault 34, no JavaScript: the page explains itself and shows a measured example', async ({ page }) => {
    await page.goto('./');
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await expect(page.locator('noscript p strong')).toBeVisible();
    expect(await page.locator('noscript').innerText()).toContain('JavaScript');
    const example = page.locator('noscript img');
    await expect(example).toBeVisible();
    await expect.poll(() => example.evaluate((image) => image.complete && image.naturalWidth)).toBeGreaterThan(500);
    expect(await overflow(page)).toBeLessThanOrEqual(0);
  });
});

for (const [name, prepare] of [
  ['switched off', (page) => page.addInitScript(() => delete window.WebAssembly)],
  ['kept away by a proxy', (page) => page.route('**/*.wasm', (route) => route.abort())],
]) {
  test.describe(`wasm ${name}`, () => {
    test.use({ expectedErrors: [/Failed to load resource|ERR_FAILED|WebAssembly|wasm/i] });
    test(`fault 34, wasm ${name}: the page says so, explains itself and shows a measured example`, async ({ page }) => {
      await prepare(page);
      await page.goto('./');
      await expect(page.locator('#panic')).toBeVisible();
      await expect(page.locator('#panic-text')).not.toBeEmpty();
      const example = page.locator('#example img');
      await expect(example).toBeVisible();
      await expect.poll(() => example.evaluate((image) => image.complete && image.naturalWidth)).toBeGreaterThan(500);
      expect(await violations(page)).toEqual([]);
    });
  });
}
