// Messages that a frame processes and ignores: hostile hosts, siblings, opaque origins, floods (fault 26).

import { test, expect } from '../support/fixtures.js';
import { SMALL, frameOf, host, withElement } from '../support/host.js';

const site = () => process.env.CROSSOVER_URL;

/** @type {Awaited<ReturnType<typeof host>>} */
let other;
test.beforeEach(async () => { other = await host(); });
test.afterEach(() => other.stop());

/** A host that frames the embed page directly, records every answer and may send anything. */
const rude = () => `<!doctype html><html lang="en"><title>A rude host</title><link rel="icon" href="data:,">
<iframe id="race" title="race" src="${site()}embed.html#systems=attention&lengths=64&width=32&heads=2&backend=cpu" width="800" height="600"></iframe>
<script>
  window.answers = [];
  addEventListener('message', (event) => answers.push({ data: event.data, origin: event.origin }));
  window.say = (data, target) => document.getElementById('race').contentWindow.postMessage(data, target ?? '${new URL(site()).origin}');
</script>`;

async function open(page) {
  other.pages['/'] = { body: rude() };
  await page.goto(other.url);
  const frame = page.frame({ url: /embed\.html/ });
  await frame.waitForSelector('#press');
  return frame;
}

/** Whether any message other than heights was sent. */
const said = (page) => page.evaluate(() => window.answers.filter((answer) => answer.data.type !== 'height').map((answer) => answer.data.type));

test('a host that says hello is answered, at its own origin (fault 26)', async ({ page }) => {
  await open(page);
  expect(await said(page)).toEqual([]);
  await page.evaluate(() => window.say({ crossover: 1, type: 'hello' }));
  await expect.poll(() => said(page)).toEqual(['ready', 'state']);
  const origins = await page.evaluate(() => [...new Set(window.answers.map((answer) => answer.origin))]);
  expect(origins).toEqual([new URL(site()).origin]);
});

test('only complete messages of this version are processed (fault 26)', async ({ page }) => {
  const frame = await open(page);
  await page.evaluate(() => {
    const polluted = JSON.parse('{"crossover":1,"type":"start","__proto__":{"x":1}}');
    for (const data of [
      null, 1, 'start', '{"crossover":1,"type":"start"}', [], [{ crossover: 1, type: 'start' }], new Map([['type', 'start']]), new Uint8Array(9),
      {}, { type: 'start' }, { crossover: 1 }, { crossover: 2, type: 'start' }, { crossover: '1', type: 'start' },
      { crossover: 1, type: 'START' }, { crossover: 1, type: ['start'] }, { crossover: 1, type: {} },
      { crossover: 1, type: 'constructor' }, { crossover: 1, type: '__proto__' }, { crossover: 1, type: 'toString' },
      { crossover: 1, type: 'start', more: 1 }, polluted,
      { crossover: 1, type: 'setup' }, { crossover: 1, type: 'setup', setup: 7 }, { crossover: 1, type: 'setup', setup: ['systems=hyena'] },
      { crossover: 1, type: 'setup', setup: 'x'.repeat(70_000) },
      { crossover: 1, type: 'setup', setup: 'systems=hyena', constructor: 'x' },
    ]) window.say(data);
    // Messages arrive in order: once this one is answered, those before it were heard or not.
    window.say({ crossover: 1, type: 'hello' });
  });
  await expect.poll(() => said(page)).toEqual(['ready', 'state']);
  await expect(frame.getByTestId('press')).toBeVisible();
  await expect(frame.locator('#what')).toHaveText('attention');
  expect(await frame.evaluate(() => ({}).x)).toBeUndefined();
});

test('getters and proxies are dropped, and markup stays text (fault 26)', async ({ page }) => {
  const frame = await open(page);
  const refused = await page.evaluate(() => {
    try {
      window.say(new Proxy({ crossover: 1, type: 'start' }, {}));
      return false;
    } catch {
      return true;
    }
  });
  expect(refused).toBe(true);
  await page.evaluate(() => {
    window.say({ get crossover() { return 1; }, type: 'setup', setup: new URLSearchParams({ systems: '<img/src/onerror=window.hurt=1>' }).toString() });
  });
  await expect(frame.locator('#what')).toHaveText('<img/src/onerror=window.hurt=1>');
  expect(await frame.evaluate(() => window.hurt)).toBeUndefined();
});

test.describe('floods', () => {
  // A host that frames the page directly grants it no wake lock; the race does without it.
  test.use({ expectedErrors: [/Permissions policy violation: screen-wake-lock/] });

  test('huge messages and a thousand a second leave the frame alive (fault 26)', async ({ page }) => {
    const frame = await open(page);
    await page.evaluate(async () => {
      const keys = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`k${index}`, index]));
      window.say(Array.from({ length: 1_000_000 }, (_, index) => index));
      window.say({ crossover: 1, type: 'hello', ...keys });
      for (let round = 0; round < 10; round += 1) {
        for (let index = 0; index < 100; index += 1) window.say({ crossover: 1, type: 'hello' });
        await new Promise((resolve) => { setTimeout(resolve, 100); });
      }
    });
    const answered = await said(page);
    // It answers some of them.
    expect(answered.length).toBeLessThan(400);
    await frame.getByTestId('press').click({ timeout: 30_000 });
    await expect(frame.getByTestId('headline')).toBeVisible({ timeout: 60_000 });
  });
});

test('a sibling frame, a grandchild and another window are not the host (fault 26)', async ({ page }) => {
  const frame = await open(page);
  await page.evaluate(() => window.say({ crossover: 1, type: 'hello' }));
  await expect.poll(() => said(page)).toContain('ready');
  // With the host's origin and with Crossover's own.
  for (const source of ['about:blank', `${site()}embed.html`]) {
    await page.evaluate(async (source) => {
      const sibling = document.createElement('iframe');
      sibling.src = source;
      sibling.title = 'sibling';
      // An empty document has loaded by the time it is inserted.
      const loaded = new Promise((resolve) => { sibling.addEventListener('load', resolve); });
      document.body.append(sibling);
      await loaded;
    }, source);
    const sibling = page.frames().at(-1);
    await sibling.evaluate(() => {
      for (const type of ['hello', 'start']) window.parent.frames[0].postMessage({ crossover: 1, type }, '*');
    });
  }
  const ready = async () => (await said(page)).filter((type) => type === 'ready').length;
  const before = await ready();
  await page.evaluate(() => window.say({ crossover: 1, type: 'hello' }));
  await expect.poll(ready).toBe(before + 1);
  await expect(frame.getByTestId('press')).toBeVisible();
  expect(await page.evaluate(() => window.answers.filter((answer) => answer.data.state === 'loading').length)).toBe(0);
});

test('a host without an origin is told its height and nothing else (fault 26)', async ({ page }) => {
  other.pages['/inner'] = { body: rude() };
  other.pages['/'] = { body: '<!doctype html><title>x</title><link rel="icon" href="data:,"><iframe title="x" src="/inner" sandbox="allow-scripts" width="900" height="900"></iframe>' };
  await page.goto(other.url);
  const inner = page.frame({ url: /inner/ });
  const frame = page.frame({ url: /embed\.html/ });
  await frame.waitForSelector('#press');
  await inner.evaluate(() => {
    window.say({ crossover: 1, type: 'hello' }, '*');
    window.say({ crossover: 1, type: 'start' }, '*');
  });
  await page.waitForTimeout(800);
  await expect(frame.getByTestId('press')).toBeVisible();
  expect(await said(inner)).toEqual([]);
  expect(await inner.evaluate(() => window.answers.length)).toBeGreaterThan(0);
});

test('the element accepts only complete messages of its frame (fault 26)', async ({ page }) => {
  other.pages['/'] = { body: withElement(site(), SMALL, '<iframe id="stranger" title="x" src="/stranger"></iframe>') };
  other.pages['/stranger'] = { body: '<!doctype html><title>x</title>' };
  await page.goto(other.url);
  const frame = await frameOf(page);
  await page.evaluate(() => {
    window.heard = 0;
    for (const type of ['progress', 'report', 'error']) document.querySelector('crossover-race').addEventListener(type, () => { window.heard += 1; });
  });
  await page.evaluate(() => {
    const frame = document.querySelector('crossover-race').shadowRoot.querySelector('iframe');
    window.heights = [];
    new MutationObserver(() => window.heights.push(frame.style.height)).observe(frame, { attributeFilter: ['style'] });
  });
  const forged = () => {
    for (const data of [
      { crossover: 1, type: 'height', height: 3000 },
      { crossover: 1, type: 'report', report: '{"lanes":[]}' },
      { crossover: 1, type: 'error', code: 'x', message: 'y' },
    ]) window.parent.postMessage(data, '*');
  };
  await page.frame({ url: /stranger/ }).evaluate(forged);
  await page.evaluate(() => {
    for (const data of [{ crossover: 1, type: 'height', height: 3000 }, { crossover: 1, type: 'report', report: '{"lanes":[]}' }]) window.postMessage(data, '*');
  });
  // Its own frame after a navigation elsewhere.
  await frame.evaluate(() => {
    for (const data of [
      { crossover: 1, type: 'height', height: '3000' }, { crossover: 1, type: 'height', height: Infinity }, { crossover: 1, type: 'height', height: NaN },
      { crossover: 1, type: 'height', height: -5 }, { crossover: 1, type: 'progress', fraction: 2, remainingMs: 0, lane: 0, length: 0, activity: '' },
      { crossover: 1, type: 'report', report: { lanes: [] } }, { crossover: 1, type: 'report', report: 'not JSON' }, { crossover: 1, type: 'report', report: '[]' },
      { crossover: 1, type: 'error', code: 'x' }, { crossover: 1, type: 'state', state: 'constructor' },
      // The only whole one, and the last: it changes the height.
      { crossover: 1, type: 'height', height: 777 },
    ]) window.parent.postMessage(data, '*');
  });
  await expect.poll(() => page.evaluate(() => window.heights)).toEqual(['777px']);
  expect(await page.evaluate(() => window.heard)).toBe(0);
  expect(await page.evaluate(() => document.querySelector('crossover-race').state)).toBe('still');
});
