// The page: a race from the first click to its table, by mouse and by keyboard, in both themes and on small screens.

import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { Playground } from '../support/playground.js';
import { pageTasks } from '../support/tasks.js';
import { least } from '../support/timing.js';

for (const backend of ['cpu', 'webgpu']) {
  test(`a small race on ${backend}, from Start to a verified table`, async ({ page }) => {
    const playground = new Playground(page);
    await playground.open();
    await playground.small(backend);
    await playground.start.click();
    await expect(playground.cancel).toBeVisible();
    await playground.finished();
    await expect(playground.error).toHaveCount(0);
    const rows = playground.table.getByRole('row');
    await expect(rows).toHaveCount(3);
    await expect(playground.table).not.toContainText('NaN');
    await expect(playground.headline).not.toContainText('NaN');
    await expect(playground.chart.locator('svg')).toBeVisible();
  });
}

test('generated tokens, from the switch to their table', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  await playground.choose('mode', 'decode');
  // The typed text stays.
  await expect(page.getByTestId('config-contexts')).toHaveValue('64, 128, 256');
  await expect(page.getByTestId('config-causal')).toBeDisabled();
  await playground.set('tokens', 0);
  await expect(page.getByTestId('config-tokens-error')).toBeVisible();
  await playground.set('tokens', 16);
  await page.getByTestId('config-add-lane').click();
  await page.getByTestId('config-add-bigs').click();
  await expect(page.getByTestId('config-no-decode')).toHaveCount(1);
  await playground.start.click();
  await playground.finished();
  await expect(playground.error).toHaveCount(0);
  await expect(playground.table.getByRole('row')).toHaveCount(4);
  // The state of the longest context.
  await expect(playground.table).toContainText(/\d\s(KiB|MiB)/u);
  await expect(playground.table).not.toContainText('NaN');
  await page.getByTestId('view-state').click();
  await expect(page.getByTestId('view-state')).toHaveAttribute('aria-checked', 'true');
});

test('a race starts within a second of the click', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  await playground.set('lengths', '64, 8192, 16384');
  const latency = async () => {
    const before = Date.now();
    await playground.start.click();
    await expect(playground.cancel).toBeVisible();
    const after = Date.now();
    await playground.cancel.click();
    await playground.finished();
    return after - before;
  };
  expect(await least(1000, latency)).toBeLessThan(1000);
});

test('cancel ends the race immediately and keeps the points measured', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.set('lengths', '64, 8192, 16384');
  await playground.choose('backend', 'cpu');
  const latency = async () => {
    await playground.start.click();
    // The first length is measured, and the next one takes longer.
    await expect(playground.table).toContainText(/\d\s(ms|µs)/u, { timeout: 60_000 });
    const before = Date.now();
    await playground.cancel.click();
    await playground.finished();
    return Date.now() - before;
  };
  expect(await least(1000, latency)).toBeLessThan(1000);
  await expect(playground.table).toContainText(/\d\s(ms|µs)/u);
  // And again.
  await playground.small();
  await playground.start.click();
  await playground.finished();
});

test('by keyboard alone: Space starts, Escape stops', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.set('lengths', '64, 8192, 16384');
  await page.locator('h1').click();
  await page.keyboard.press('Space');
  await expect(playground.cancel).toBeVisible();
  await page.keyboard.press('Escape');
  await playground.finished(5000);
  // Every control is reachable by Tab with a visible focus.
  await page.evaluate(() => document.activeElement?.blur());
  const seen = new Set();
  for (let step = 0; step < 80; step += 1) {
    await page.keyboard.press('Tab');
    const id = await page.evaluate(() => document.activeElement?.dataset?.testid ?? document.activeElement?.tagName);
    seen.add(id);
  }
  for (const id of ['start', 'theme', 'config-lengths', 'config-add-lane']) expect([...seen]).toContain(id);
});

test('the page stays responsive and does not jump while a race runs', async ({ page, browser }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  await page.evaluate(() => {
    window.shifts = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
    }).observe({ type: 'layout-shift' });
  });
  const tasks = await pageTasks(browser, page, async () => {
    await playground.start.click();
    await expect(playground.cancel).toBeVisible();
    // The click itself moves parts of the page on purpose.
    await page.waitForTimeout(600);
    await page.evaluate(() => { window.shifts = 0; });
    await playground.finished();
  });
  expect(await page.evaluate(() => window.shifts)).toBeLessThan(0.02);
  expect(tasks.length, 'tasks of the page').toBeGreaterThan(50);
  expect(tasks.filter((ms) => ms > 50), 'milliseconds of long tasks').toEqual([]);
});

test('the long-task observer detects a long task', async ({ page, browser }) => {
  const playground = new Playground(page);
  await playground.open();
  const tasks = await pageTasks(browser, page, () => page.evaluate(() => {
    const end = performance.now() + 500;
    while (performance.now() < end);
  }));
  expect(Math.max(...tasks)).toBeGreaterThan(50);
});

test('the address holds the configuration, and a bad one is reported', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  // The address is updated with a short delay, not at every key.
  const held = () => page.evaluate(() => window.crossover.decodeLink(window.location.href).then(({ config }) => [config.width, config.heads, config.budgetMs, config.backend], () => []));
  await expect.poll(held).toEqual([32, 2, 10_000, 'cpu']);
  const address = page.url();
  expect(new URL(address).hash).toMatch(/^#r=1/);
  await page.goto('about:blank');
  await playground.open(address);
  await expect(page.getByTestId('config-width')).toHaveValue('32');
  await expect(page.getByTestId('config-heads')).toHaveValue('2');
  await page.goto('about:blank');
  await playground.open(address.slice(0, -2));
  await expect(page.getByTestId('link-error')).toBeVisible();
  await expect(playground.start).toBeVisible();
});

test('invalid input is reported at its field with the valid range', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  for (const [name, value, words] of [
    ['lengths', '0', /1/],
    ['lengths', 'long', /./],
    ['lengths', '99999999999', /1.?048.?576/],
    ['width', '0', /4.?096/],
    ['heads', '3', /divi/i],
    ['seed', '-1', /0/],
  ]) {
    const field = page.getByTestId(`config-${name}`);
    const good = await field.inputValue();
    await field.fill(value);
    await expect(page.getByTestId(`config-${name}-error`), `${name} = ${value}`).toContainText(words);
    await expect(field).toHaveAttribute('aria-invalid', 'true');
    await field.fill(good);
    await expect(page.getByTestId(`config-${name}-error`)).toHaveCount(0);
  }
});

for (const scheme of ['light', 'dark']) {
  test(`axe finds nothing in ${scheme}, before and after a race`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    const playground = new Playground(page);
    await playground.open();
    expect(await violations(page)).toEqual([]);
    await playground.small();
    await playground.start.click();
    await playground.finished();
    expect(await violations(page)).toEqual([]);
    await page.getByTestId('system-hyena').click();
    await expect(page.getByTestId('system-dialog')).toBeVisible();
    expect(await violations(page)).toEqual([]);
  });
}

for (const width of [320, 390, 768, 1920]) {
  test(`at ${width} pixels nothing is cut off`, async ({ page }) => {
    await page.setViewportSize({ width, height: 800 });
    const playground = new Playground(page);
    await playground.open();
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    await expect(playground.chart).toBeInViewport({ ratio: 0.1 }).catch(() => playground.chart.scrollIntoViewIfNeeded());
    await expect(playground.chart.locator('svg')).toBeVisible();
  });
}
