// Past runs: stored, renamed, opened, deleted; and browsers without storage, with full storage or with invalid entries
// (fault 29).

import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { Playground } from '../support/playground.js';
import { cells, duel } from '../support/results.js';

const runs = (page) => page.getByTestId('run');
const problem = (page) => page.getByTestId('history-problem');

async function raced(page) {
  const playground = new Playground(page);
  await playground.open();
  await playground.small();
  await playground.start.click();
  await playground.finished();
  return playground;
}

/** Puts a run into the page's database without the page's own checks. */
const put = (page, run, report) =>
  page.evaluate(
    async ([run, report]) => {
      const request = indexedDB.open('crossover', 1);
      const database = await new Promise((resolve, reject) => {
        request.onupgradeneeded = () => {
          request.result.createObjectStore('runs', { keyPath: 'id', autoIncrement: true });
          request.result.createObjectStore('reports');
        };
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      const transaction = database.transaction(['runs', 'reports'], 'readwrite');
      const adding = transaction.objectStore('runs').add(run);
      adding.onsuccess = () => report !== null && transaction.objectStore('reports').put(report, adding.result);
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      database.close();
    },
    [run, report],
  );

test('a run is stored, reloaded, renamed, opened, compared and deleted', async ({ page }) => {
  await raced(page);
  await expect(runs(page)).toHaveCount(1);
  const own = await cells(page);
  await page.getByTestId('run-name').fill('Before the update');
  await page.getByTestId('run-name').blur();
  await page.reload();
  await new Playground(page).open();
  await expect(runs(page)).toHaveCount(1);
  await expect(page.getByTestId('run-name')).toHaveValue('Before the update');
  await page.getByTestId('run-open').click();
  await expect(page.getByTestId('opened')).toBeVisible();
  expect(await cells(page)).toEqual(own);
  await page.getByTestId('run-compare').click();
  await expect(page.getByTestId('compared')).toHaveCount(1);
  await page.getByTestId('run-delete').click();
  await expect(runs(page)).toHaveCount(0);
  await page.reload();
  await expect(page.getByTestId('history')).toBeVisible();
  await expect(runs(page)).toHaveCount(0);
});

test('opened reports are not stored as runs', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  const link = await page.evaluate((report) => window.crossover.encodeLink(report), await duel());
  await page.goto('about:blank');
  await playground.open(`./${link.slice(link.indexOf('#'))}`);
  await expect(page.getByTestId('opened')).toBeVisible();
  await expect(runs(page)).toHaveCount(0);
});

test('two tabs see each other’s runs (fault 29)', async ({ page, context }) => {
  await new Playground(page).open();
  const other = await context.newPage();
  await new Playground(other).open();
  await raced(page);
  await expect(runs(page)).toHaveCount(1);
  await expect(runs(other)).toHaveCount(1);
  await other.getByTestId('run-delete').click();
  await expect(runs(page)).toHaveCount(0);
});

test('denied storage is reported, and races run (fault 29: SecurityError)', async ({ page }) => {
  await page.addInitScript(() => {
    Object.defineProperty(window, 'indexedDB', {
      get() {
        throw new DOMException('denied', 'SecurityError');
      },
    });
  });
  const playground = await raced(page);
  await expect(problem(page)).toBeVisible();
  await expect(playground.table).toContainText('ms');
  await expect(playground.error).toHaveCount(0);
  expect(await violations(page)).toEqual([]);
});

test('race, theme and language work without storage (fault 29: localStorage)', async ({ page }) => {
  await page.addInitScript(() => {
    for (const name of ['localStorage', 'sessionStorage', 'indexedDB', 'caches']) {
      Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
    }
  });
  const playground = await raced(page);
  await expect(playground.table).toContainText('ms');
  await page.getByTestId('theme').click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  await page.getByTestId('language-zh-Hans').click();
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-Hans');
  await expect(problem(page)).toBeVisible();
  await expect(playground.error).toHaveCount(0);
});

test.describe('a part that is gone after a deploy', () => {
  test.use({ expectedErrors: [/Failed to load resource/] });

  test('past runs and exports report a missing part, and the race runs (fault 30)', async ({ page }) => {
    await page.route(/\/js\/(files|history)[^/]*\.js$/, (route) => route.fulfill({ status: 404, body: 'gone' }));
    const playground = await raced(page);
    await expect(problem(page)).toContainText('part of this page');
    await expect(playground.table).toContainText('ms');
    await page.getByTestId('export').click();
    await page.getByTestId('download-csv').click();
    await expect(page.getByTestId('export-status')).toContainText('part of this page');
    expect(await violations(page)).toEqual([]);
  });
});

test('a browser without storage at all (fault 29: no factory)', async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(window, 'indexedDB', { value: undefined }));
  await new Playground(page).open();
  await expect(problem(page)).toBeVisible();
});

test('full storage keeps earlier runs and shows a remedy (fault 29: QuotaExceededError)', async ({ page }) => {
  const playground = await raced(page);
  await expect(runs(page)).toHaveCount(1);
  await page.evaluate(() => {
    IDBObjectStore.prototype.add = function add() {
      this.transaction.abort();
      throw new DOMException('full', 'QuotaExceededError');
    };
  });
  await playground.start.click();
  await playground.finished();
  await expect(problem(page)).toContainText('full');
  await expect(runs(page)).toHaveCount(1);
  await expect(playground.table).not.toContainText('NaN');
});

test('damaged and future entries stay harmless (fault 29)', async ({ page }) => {
  await new Playground(page).open();
  const report = await duel();
  await put(page, { name: 'good', savedAtMs: 3, summary: '' }, JSON.stringify(report));
  await put(page, { name: 'future', savedAtMs: 2, summary: '' }, JSON.stringify({ ...report, schema: 9 }));
  await put(page, { name: { en: 'odd' }, savedAtMs: 'yesterday' }, '{"cut":');
  await put(page, { name: 'no report', savedAtMs: 1, summary: '' }, null);
  await page.reload();
  await expect(runs(page)).toHaveCount(4);
  const open = page.getByTestId('run-open');
  for (const [index, words] of [[1, /newer Crossover/], [2, /deleted/], [3, /not a report/]]) {
    await open.nth(index).click();
    await expect(problem(page)).toContainText(words);
    await expect(page.getByTestId('opened')).toHaveCount(0);
  }
  await open.first().click();
  await expect(page.getByTestId('opened')).toBeVisible();
  await page.getByTestId('history-clear').click();
  await expect(runs(page)).toHaveCount(0);
});

test('a database of a later page is left alone (fault 29: VersionError)', async ({ page }) => {
  // This version's page closes the database when a later version requests it.
  await new Playground(page).open();
  await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open('crossover', 99);
        request.onsuccess = () => {
          request.result.close();
          resolve();
        };
        request.onerror = () => reject(request.error);
      }),
  );
  await page.reload();
  await expect(problem(page)).toContainText('newer version');
});

for (const scheme of ['light', 'dark']) {
  test(`axe finds nothing in the list of past runs, ${scheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await new Playground(page).open();
    const report = await duel();
    await put(page, { name: 'a run', savedAtMs: Date.now(), summary: 'Hyena overtakes' }, JSON.stringify(report));
    await put(page, { savedAtMs: 'odd' }, null);
    await page.reload();
    await expect(runs(page)).toHaveCount(2);
    expect(await violations(page)).toEqual([]);
  });
}
