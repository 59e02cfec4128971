// A race during the page's life cycle: frozen, restored, left, reloaded, started twice (faults 15 and 16); and faulty
// workers (fault 18).

import { test, expect } from '../support/fixtures.js';
import { openApi, race, smallRace } from '../support/api.js';
import { beforeEngine } from '../support/boot.js';
import { Playground } from '../support/playground.js';

const small = { ...smallRace, lengths: [64, 128], backend: 'cpu' };
const middle = { systems: ['attention', 'hyena'], lengths: [512, 1024, 2048], width: 64, heads: 2, backend: 'cpu', budgetMs: 120_000 };

/** A race that takes long, until it is stopped. */
async function long(playground) {
  await playground.set('lengths', '2048, 4096, 8192, 16384');
  await playground.choose('backend', 'cpu');
}

test('fault 15, the race of a frozen page pauses and resumes', async ({ page }) => {
  await openApi(page);
  const { report, during } = await page.evaluate(async (config) => {
    const seen = [];
    let middle;
    const halfway = new Promise((resolve) => { middle = resolve; });
    const result = window.api.race(config, {
      onEvent: (event) => {
        seen.push(event.type);
        if (event.type === 'progress' && event.activity === 'sampling') middle();
      },
    });
    await halfway;
    document.dispatchEvent(new Event('freeze'));
    // The running sample may still be reported.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const before = seen.length;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const during = seen.length - before;
    document.dispatchEvent(new Event('resume'));
    return { report: await result, during };
  }, middle);
  expect(during).toBe(0);
  expect(report.status).toBe('done');
  expect(report.lanes.flatMap((lane) => lane.points).every((point) => point.outcome === 'ok')).toBe(true);
});

test('fault 15, a race survives the back-forward cache', async ({ page }) => {
  await openApi(page);
  // Playwright cannot follow a page into the back-forward cache, so the page's events are dispatched instead.
  const { report, during } = await page.evaluate(async (config) => {
    let state = 'visible';
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    const turn = (value) => {
      state = value;
      document.dispatchEvent(new Event('visibilitychange'));
    };
    let seen = 0;
    let middle;
    const halfway = new Promise((resolve) => { middle = resolve; });
    const result = window.api.race(config, {
      onEvent: (event) => {
        seen += 1;
        if (event.type === 'progress' && event.activity === 'sampling') middle();
      },
    });
    await halfway;
    window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
    turn('hidden');
    document.dispatchEvent(new Event('freeze'));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const before = seen;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const during = seen - before;
    document.dispatchEvent(new Event('resume'));
    window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    turn('visible');
    return { report: await result, during };
  }, middle);
  expect(during).toBe(0);
  expect(report.status).toBe('done');
  expect(report.lanes.flatMap((lane) => lane.points).every((point) => point.outcome === 'ok')).toBe(true);
});

test('fault 16, leaving asks for confirmation only during a race', async ({ page, context }) => {
  const playground = new Playground(page);
  await playground.open();
  await long(playground);
  await playground.start.click();
  await expect(playground.cancel).toBeVisible();
  const asked = page.waitForEvent('dialog');
  await page.close({ runBeforeUnload: true });
  const dialog = await asked;
  expect(dialog.type()).toBe('beforeunload');
  await dialog.dismiss();
  // The race is still there.
  await expect(playground.cancel).toBeVisible();
  await playground.cancel.click();
  await playground.finished();
  const closed = page.waitForEvent('close');
  page.on('dialog', (late) => { throw new Error(`asked for leave at rest: ${late.type()}`); });
  await page.close({ runBeforeUnload: true });
  await closed;
  expect(context.pages()).not.toContain(page);
});

test('fault 16, a reload during a race keeps the configuration', async ({ page }) => {
  page.on('dialog', (dialog) => dialog.accept());
  const playground = new Playground(page);
  await playground.open();
  await long(playground);
  await page.waitForTimeout(1000);
  await playground.start.click();
  await expect(playground.cancel).toBeVisible();
  await page.reload();
  await expect(playground.start).toBeVisible();
  await expect(page.getByTestId('config-lengths')).toHaveValue(/16.?384/);
  await playground.small();
  await playground.start.click();
  await playground.finished();
  await expect(playground.error).toHaveCount(0);
});

test('fault 16, a changed address during a race is restored', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await playground.set('width', 64);
  await page.waitForTimeout(1000);
  const other = new URL(page.url()).hash;
  await long(playground);
  await page.waitForTimeout(1000);
  const own = new URL(page.url()).hash;
  expect(own).not.toBe(other);
  await playground.start.click();
  await expect(playground.cancel).toBeVisible();
  await page.evaluate((hash) => { window.location.hash = hash; }, other);
  await page.evaluate(() => { window.location.hash = '#r=1nonsense'; });
  await page.evaluate(() => window.history.back());
  await expect(playground.cancel).toBeVisible();
  await expect(page.getByTestId('config-lengths')).toHaveValue(/16.?384/);
  await expect(page.getByTestId('link-error')).toContainText('a race is running');
  await expect.poll(() => new URL(page.url()).hash).toBe(own);
  await playground.cancel.click();
  await playground.finished();
  expect(new URL(page.url()).hash).toBe(own);
});

test('fault 16, a double click on Start starts one race', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await long(playground);
  await playground.start.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await playground.start.boundingBox();
  await page.mouse.dblclick(x + width / 2, y + height / 2, { delay: 30 });
  await page.waitForTimeout(700);
  await expect(playground.cancel).toBeVisible();
  await expect(playground.cancel).toBeEnabled();
  // A click on Cancel stops it.
  await page.mouse.dblclick(x + width / 2, y + height / 2, { delay: 100 });
  await page.waitForTimeout(700);
  await expect(playground.start).toBeVisible();
});

test('fault 16, two tabs started at once take turns', async ({ page, context }) => {
  const other = await context.newPage();
  await Promise.all([openApi(page), openApi(other)]);
  // Headless pages all count as visible.
  const run = (tab) => tab.evaluate(async (config) => {
    const activities = [];
    const report = await window.api.race(config, { onEvent: (event) => activities.push(event.activity) });
    return { status: report.status, waited: activities.includes('waiting') };
  }, middle);
  const results = await Promise.all([run(page), run(other)]);
  expect(results.map(({ status }) => status)).toEqual(['done', 'done']);
  expect(results.filter(({ waited }) => waited)).toHaveLength(1);
});

for (const after of [0, 300]) {
  test(`fault 17, a GPU race is cancelled ${after} ms after its first word: an answer within 200 ms, and the next race runs`, async ({ page }) => {
    await openApi(page);
    const { name, latency } = await page.evaluate(async ([config, after]) => {
      await window.api.environment();
      const stop = new AbortController();
      let started;
      const running = new Promise((resolve) => { started = resolve; });
      const result = window.api.race(config, { signal: stop.signal, onEvent: started }).catch((error) => error);
      await running;
      await new Promise((resolve) => setTimeout(resolve, after));
      const at = performance.now();
      stop.abort();
      const { name } = await result;
      return { name, latency: performance.now() - at };
    }, [{ systems: ['hyena', 'attention'], lengths: [1024, 4096], width: 128, backend: 'webgpu', budgetMs: 120_000 }, after]);
    expect(name).toBe('AbortError');
    expect(latency).toBeLessThan(200);
    expect((await race(page, small)).report.status).toBe('done');
  });
}

test.describe('worker', () => {
  test('fault 18, strange messages and those of an earlier race change nothing', async ({ page }) => {
    await beforeEngine(page, `const strange = ['', 'null', '7', '"done"', '[]', '{', '{}', '{"type":7}', '{"type":"constructor"}', '{"type":"surprise","id":1}',
        '{"type":"done","id":0,"report":{"status":"done","lanes":[]}}', '{"type":"error","id":99,"error":{"code":"late","message":"late"}}', null, 7, [], { type: null }];
      const send = self.postMessage.bind(self);
      self.postMessage = (message, ...more) => {
        send(message, ...more);
        for (const other of strange) send(other);
      };`);
    await openApi(page);
    const { report } = await race(page, small);
    expect(report.status).toBe('done');
    expect(report.lanes).toHaveLength(2);
    expect((await race(page, { ...small, lengths: [32] })).report.lanes[0].points.map((point) => point.length)).toEqual([32]);
  });

  test('fault 18, a silent worker is ended, and a new race runs', async ({ page }) => {
    // Every worker reports that it is ready, and the first one stays silent afterwards.
    await beforeEngine(page, `const send = self.postMessage.bind(self);
      self.postMessage = (message, ...more) => {
        if (!self.name.includes('deaf') && !self.deaf) send(message, ...more);
        if (typeof message === 'string' && message.includes('"ready"')) fetch('deaf').then(({ status }) => { self.deaf = status === 200; });
      };`);
    let asked = 0;
    await page.route('**/deaf', (route) => route.fulfill({ status: asked++ === 0 ? 200 : 404, body: '' }));
    await page.clock.install();
    await openApi(page);
    await page.evaluate(() => window.api.environment());
    await expect.poll(() => asked).toBeGreaterThan(0);
    await page.waitForTimeout(500);
    await page.evaluate((config) => {
      window.result = window.api.race(config).catch(({ name, code, message }) => ({ name, code, message }));
    }, { ...small, budgetMs: 10_000 });
    await page.waitForTimeout(500);
    await page.clock.fastForward(61_000);
    const error = await page.evaluate(() => window.result);
    expect(error).toMatchObject({ name: 'CrossoverError', code: 'worker-silent' });
    await page.clock.resume();
    expect((await race(page, small)).report.status).toBe('done');
  });

  test.describe('that may not load', () => {
    test.use({ expectedErrors: [/MIME|Content Security Policy|Failed to load|violates/] });

    test('fault 18, a script with a wrong type is reported', async ({ page }) => {
      await page.route('**/worker-boot.js', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, headers: { ...response.headers(), 'content-type': 'text/plain' } });
      });
      await openApi(page);
      const { error } = await race(page, small);
      expect(error.code).toBe('worker-load-failed');
      expect(error.message).toMatch(/reload/i);
    });

    test('fault 18, a policy that forbids workers is reported', async ({ page }) => {
      await page.route('**/forbids.html', (route) => route.fulfill({
        contentType: 'text/html',
        headers: { 'content-security-policy': "worker-src 'none'" },
        body: "<!doctype html><html lang=en><title>Forbids</title><script type=module>window.api = await import('./crossover.js');</script>",
      }));
      await page.goto('forbids.html');
      await page.waitForFunction(() => window.api);
      const { error } = await race(page, small);
      expect(error.code).toBe('worker-load-failed');
    });
  });
});
