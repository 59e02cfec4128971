// Comparing results from anywhere, and bad ones that change nothing.

import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { Playground } from '../support/playground.js';
import { cells, drop, duel, faster, file } from '../support/results.js';

const refused = (page) => page.getByTestId('refused');
const compared = (page) => page.getByTestId('compared');

async function opened(page) {
  const playground = new Playground(page);
  await playground.open();
  await drop(page, { files: [{ name: 'mine.json', content: JSON.stringify(await duel()) }] });
  await expect(page.getByTestId('opened')).toBeVisible();
  return playground;
}

test('two results are compared by lines, ratios and first crossover', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await page.getByTestId('compare-files').setInputFiles([file('slow.json', await duel()), file('fast.json', await faster(2))]);
  await expect(compared(page)).toHaveCount(2);
  const chart = page.getByTestId('compare-chart');
  await expect(chart.locator('.lane.r1 .line').first()).toBeAttached();
  const dashes = await chart.locator('.lane.r1 .line').first().evaluate((line) => getComputedStyle(line).strokeDasharray);
  expect(dashes).not.toBe('none');
  const table = page.getByTestId('compare-table');
  await expect(table).toContainText('2');
  await expect(table).not.toContainText('NaN');
  const rows = await table.getByRole('row').allInnerTexts();
  expect(rows).toHaveLength(5);
  await expect(page.getByTestId('crossings')).toContainText('Hyena');
});

test('a comparison has the chart\'s views, each with its table; throughput only of equal batches', async ({ page }) => {
  await opened(page);
  await page.getByTestId('compare-files').setInputFiles(file('fast.json', await faster(2)));
  await expect(compared(page)).toHaveCount(2);
  const table = page.getByTestId('compare-table');
  const times = await table.innerText();
  await page.getByTestId('compare-view-memory').click();
  await expect(table).toContainText('MiB');
  await expect(table).not.toContainText('faster');
  await expect(page.getByTestId('compare-chart')).toContainText('MiB');
  await page.getByTestId('compare-view-memory').press('Home');
  await expect(page.getByTestId('compare-view-time')).toBeFocused();
  expect(await table.innerText()).toBe(times);
  // The table has the growth of both.
  await expect(table.locator('sup')).toHaveCount(4);
  await page.getByTestId('compare-view-throughput').click();
  await expect(table).toContainText('tokens/s');
  const other = await faster(3);
  other.config.batch = 2;
  await page.getByTestId('compare-files').setInputFiles(file('batch.json', other));
  await expect(compared(page)).toHaveCount(3);
  await expect(page.getByTestId('compare-view-throughput')).toHaveCount(0);
  await expect(page.getByTestId('compare-view-time')).toHaveAttribute('aria-checked', 'true');
  await expect(page.getByTestId('differences')).toContainText('Batch');
});

test('links are pasted, one a line or one alone', async ({ page }) => {
  await opened(page);
  const report = await faster(3);
  const link = await page.evaluate((report) => window.crossover.encodeLink(report), report);
  await page.getByTestId('compare-paste').fill(link);
  await page.getByTestId('compare-paste').press('Enter');
  await expect(compared(page)).toHaveCount(2);
  await expect(page.getByTestId('compare-paste')).toHaveValue('');
  await drop(page, { text: link });
  await expect(compared(page)).toHaveCount(3);
  await page.getByTestId('compare-remove').first().click();
  await expect(compared(page)).toHaveCount(2);
  await page.getByTestId('compare-clear').click();
  await expect(compared(page)).toHaveCount(0);
});

test('differing work and clocks are listed', async ({ page }) => {
  await opened(page);
  const other = await faster(2);
  other.config.width = 512;
  other.environment.tickMs = 1;
  other.environment.build = '9.9.9';
  await page.getByTestId('compare-files').setInputFiles(file('other.json', other));
  const differences = page.getByTestId('differences');
  await expect(differences).toContainText('512');
  await expect(differences).toContainText('9.9.9');
  await expect(differences).toHaveClass(/bad/);
});

test('running a shared race compares it with the original', async ({ page }) => {
  const report = await duel();
  report.config = { ...report.config, systems: ['attention', 'hyena'], lengths: [64, 128], width: 32, heads: 2, budgetMs: 10_000, backend: 'cpu' };
  for (const lane of report.lanes) {
    lane.backend = 'cpu';
    lane.points = lane.points.slice(0, 2).map((point, index) => ({ ...point, length: [64, 128][index], deviceMs: null }));
    lane.exponent = null;
  }
  report.crossovers = [];
  const playground = new Playground(page);
  await playground.open();
  await drop(page, { files: [{ name: 'theirs.json', content: JSON.stringify(report) }] });
  await page.getByTestId('run-on-mine').click();
  await expect(playground.cancel).toBeVisible();
  await playground.finished();
  await expect(compared(page)).toHaveCount(2);
  await expect(page.getByTestId('compare-table')).toBeVisible();
  await expect(page.getByTestId('opened')).toHaveCount(0);
  await expect(page.getByTestId('compare-chart').locator('.lane.r1')).toHaveCount(2);
});

test('bad files are refused politely and change nothing (fault 28)', async ({ page }) => {
  await opened(page);
  const before = await cells(page);
  const good = await duel();
  const bad = [
    ['ten.json', { bytes: 10 * 2 ** 20 }, /10.*MiB/],
    ['fifty.json', { bytes: 50 * 2 ** 20 }, /50.*MiB/],
    ['schema.json', { content: JSON.stringify({ ...good, schema: 7 }) }, /newer Crossover/],
    ['wrong.json', { content: '{"lanes": 1}' }, /not a report/],
    ['deep.json', { content: '['.repeat(100_000) }, /not a report/],
    ['twice.json', { content: JSON.stringify(good).replace('"status":', '"status":"done","status":') }, /not a report/],
    ['range.json', { content: JSON.stringify(good).replace(/"medianMs":[\d.e-]+/, '"medianMs":-1') }, /medianMs/],
    ['text.json', { content: 'hello' }, /some other text/],
    ['empty.json', { content: '' }, /./],
    ['a\u202enosj.exe', { content: '{}' }, /anosj\.exe/],
  ];
  for (const [name, what, words] of bad) {
    await drop(page, { files: [{ name, ...what }] });
    await expect(refused(page)).toContainText(words);
    await expect(compared(page)).toHaveCount(0);
    expect(await cells(page)).toEqual(before);
    await refused(page).getByRole('button').click();
    await expect(refused(page)).toHaveCount(0);
  }
});

test('prototype keys and markup are ordinary data (faults 25 and 28)', async ({ page }) => {
  await opened(page);
  const odd = await faster(2);
  odd.lanes[1].title = '<img src=x onerror="window.hacked = true">';
  const content = JSON.stringify(odd).replace('{', '{"__proto__":{"hacked":true},"constructor":{"prototype":{"hacked":true}},');
  await drop(page, { files: [{ name: '<b>odd</b>.json', content }] });
  await expect(compared(page)).toHaveCount(2);
  await expect(compared(page).nth(1)).toContainText('<b>odd</b>.json');
  await compared(page).nth(1).getByRole('button').first().click();
  await expect(page.getByTestId('results-table')).toContainText('<img src=x');
  expect(await page.evaluate(() => [window.hacked === undefined, {}.hacked === undefined])).toEqual([true, true]);
  expect(await page.locator('main img').count()).toBe(0);
});

test('UTF-16 files are read, and own tables are refused by kind', async ({ page }) => {
  await opened(page);
  const json = JSON.stringify(await faster(2));
  const wide = (mark) => ({ name: `${mark}.json`, mimeType: 'application/json', buffer: Buffer.from(`\ufeff${json}`, 'utf16le') });
  const swapped = { ...wide('be'), buffer: wide('be').buffer.swap16() };
  await page.getByTestId('compare-files').setInputFiles([file('utf8.json', `\ufeff${json}`), wide('le'), swapped]);
  await expect(compared(page)).toHaveCount(4);
  await expect(refused(page)).toHaveCount(0);
  const csv = `system,backend,params\r\n${'attention,cpu,\r\n'.repeat(40)}`;
  await page.getByTestId('compare-files').setInputFiles([file('race.csv', csv)]);
  await expect(refused(page).getByRole('listitem')).toHaveCount(1);
  await expect(refused(page)).toContainText('CSV');
  await drop(page, { files: [{ name: 'race.md', content: '| length | Attention (cpu) |\n| ---: | ---: |\n| 64 | 1 ms |\n' }] });
  await expect(refused(page).getByRole('listitem')).toHaveCount(1);
  await expect(refused(page)).toContainText('Markdown');
});

test('a link in a mail is opened, and an incomplete one is damaged', async ({ page }) => {
  await opened(page);
  const link = await page.evaluate((report) => window.crossover.encodeLink(report), await faster(3));
  const lines = link.match(/.{1,76}/g);
  await drop(page, { files: [{ name: 'mail.txt', content: `Look at this:\n> ${lines.join('\n> ')}\n> Ada` }] });
  await expect(compared(page)).toHaveCount(2);
  await drop(page, { text: `[a race](${link}).` });
  await expect(compared(page)).toHaveCount(3);
  await drop(page, { text: lines.slice(0, -1).join('\n') });
  await expect(refused(page)).toContainText('damaged');
  await expect(refused(page)).not.toContainText('newer');
});

test('more results than line styles are refused', async ({ page }) => {
  await opened(page);
  const files = [];
  for (let index = 0; index < 9; index += 1) files.push({ name: `${index}.json`, content: JSON.stringify(await faster(index + 2)) });
  await drop(page, { files });
  await expect(compared(page)).toHaveCount(8);
  await expect(refused(page)).toContainText('8');
});

test('a result dropped while a race runs does not disturb it', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.set('lengths', '64, 8192, 16384');
  await playground.choose('backend', 'cpu');
  await playground.start.click();
  await expect(playground.cancel).toBeVisible();
  await drop(page, { files: [{ name: 'theirs.json', content: JSON.stringify(await duel()) }] });
  await expect(compared(page)).not.toHaveCount(0);
  await expect(playground.cancel).toBeVisible();
  await playground.cancel.click();
  await playground.finished(10_000);
});

for (const scheme of ['light', 'dark']) {
  test(`axe finds nothing while results are compared or refused, ${scheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await opened(page);
    const other = await faster(2);
    other.config.width = 512;
    await page.getByTestId('compare-files').setInputFiles(file('other.json', other));
    await expect(compared(page)).toHaveCount(2);
    await drop(page, { text: 'nothing' });
    await expect(refused(page)).toBeVisible();
    expect(await violations(page)).toEqual([]);
  });
}

for (const width of [320, 390, 1440]) {
  test(`at ${width} pixels a comparison fits`, async ({ page }) => {
    await page.setViewportSize({ width, height: 800 });
    await opened(page);
    await page.getByTestId('compare-files').setInputFiles(file('other.json', await faster(2)));
    await expect(compared(page)).toHaveCount(2);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(overflow).toBeLessThanOrEqual(0);
  });
}
