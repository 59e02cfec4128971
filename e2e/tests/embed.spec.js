// Races in other pages: on another site, with and without isolation, under content policies and in sandboxes.

import { test, expect, plainUrl } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { COEP, LONG, MIDDLE, SMALL, frameOf, host, listen, withElement } from '../support/host.js';

const site = () => process.env.CROSSOVER_URL;

/** @type {Awaited<ReturnType<typeof host>>} */
let other;
test.beforeEach(async () => { other = await host(); });
test.afterEach(() => other.stop());

async function open(page, body, headers = {}) {
  other.pages['/'] = { body, headers };
  await page.goto(other.url);
}

const height = (page) => page.evaluate(() => document.querySelector('crossover-race').shadowRoot.querySelector('iframe').getBoundingClientRect().height);

test('an embed on another site is still until pressed, then races isolated', async ({ page }) => {
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  await open(page, withElement(site(), MIDDLE));
  await listen(page);
  const frame = await frameOf(page);
  await expect(frame.getByTestId('press')).toBeVisible();
  await expect(frame.locator('#what')).toHaveText('attention vs. hyena');
  await page.waitForTimeout(1500);
  // Nothing large is loaded before the press.
  expect(requests.filter((url) => /\.wasm$|worker-boot|\/page\//.test(url))).toEqual([]);
  expect(await frame.evaluate(() => window.crossOriginIsolated)).toBe(true);

  await frame.getByTestId('press').click();
  await expect(frame.getByTestId('embed')).toBeVisible();
  await page.waitForFunction(() => window.heard.some((event) => event.type === 'report'), undefined, { timeout: 60_000 });
  const heard = await page.evaluate(() => window.heard);
  expect(heard.filter((event) => event.type === 'error')).toEqual([]);
  expect(heard.some((event) => event.type === 'progress' && event.detail.fraction > 0)).toBe(true);
  const { detail } = heard.find((event) => event.type === 'report');
  expect(detail.status).toBe('done');
  expect(detail.lanes.map((lane) => lane.system)).toEqual(['attention', 'hyena']);
  expect(detail.environment.isolated).toBe(true);
  expect(detail.environment.threads).toBeGreaterThanOrEqual(1);
  expect(await page.evaluate(() => document.querySelector('crossover-race').state)).toBe('done');

  // The frame has the height of its content, and the link to the full page contains the result.
  const inside = () => frame.evaluate(() => Math.ceil(document.body.getBoundingClientRect().height));
  await expect.poll(async () => (await height(page)) - (await inside())).toBe(0);
  const link = frame.getByTestId('full');
  await expect(link).toHaveAttribute('rel', 'noopener');
  const address = await link.evaluate((anchor) => anchor.href);
  expect(address.startsWith(`${site()}#r=`)).toBe(true);
  const [full] = await Promise.all([page.context().waitForEvent('page'), link.click()]);
  await expect(full.getByTestId('results-table')).toBeVisible();
  expect(await full.evaluate(() => window.opener)).toBeNull();
});

test('without isolation headers the embed runs on one thread', async ({ page }) => {
  await open(page, withElement(plainUrl()));
  const frame = await frameOf(page);
  await frame.getByTestId('press').click();
  await expect(frame.getByTestId('one-thread')).toBeVisible();
  await expect.poll(() => page.evaluate(() => document.querySelector('crossover-race').result?.status), { timeout: 60_000 }).toBe('done');
  const { isolated, threads } = await page.evaluate(() => document.querySelector('crossover-race').result.environment);
  expect([isolated, threads]).toEqual([false, 1]);
});

test('methods and properties: start, cancel, attributes that change', async ({ page }) => {
  await open(page, withElement(site(), LONG));
  await listen(page);
  const report = await page.evaluate(async () => {
    const element = document.querySelector('crossover-race');
    await customElements.whenDefined('crossover-race');
    element.systems = ['attention', 'attention-naive'];
    element.lengths = '64';
    element.width = 32;
    element.heads = 2;
    const report = await element.start();
    return { systems: report.lanes.map((lane) => lane.system), lengths: report.config.lengths, attribute: element.getAttribute('systems') };
  });
  expect(report).toEqual({ systems: ['attention', 'attention-naive'], lengths: [64], attribute: 'attention attention-naive' });
  // Another race in the same frame, and a cancellation.
  const stopped = await page.evaluate(async () => {
    const element = document.querySelector('crossover-race');
    element.setAttribute('lengths', '4096 8192');
    element.setAttribute('width', '256');
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    const first = new Promise((resolve) => { element.addEventListener('progress', resolve, { once: true }); });
    const race = element.start().then((report) => report.status, (error) => error.code);
    await first;
    await new Promise((resolve) => { setTimeout(resolve, 300); });
    element.cancel();
    return race;
  });
  expect(stopped).toBe('cancelled');
});

test('attributes set just before a start take effect', async ({ page }) => {
  await page.addInitScript(() => window.addEventListener('message', ({ data }) => { window.ready ||= data?.type === 'ready'; }));
  await open(page, withElement(site(), LONG));
  await page.waitForFunction(() => window.ready);
  const race = (lengths) =>
    page.evaluate(async (given) => {
      const element = document.querySelector('crossover-race');
      Object.assign(element, { systems: 'attention', lengths: given, width: 32, heads: 2 });
      return (await element.start()).config.lengths;
    }, lengths);
  expect(await race('64')).toEqual([64]);
  expect(await race('128')).toEqual([128]);
  expect(await race([16, 128])).toEqual([16, 128]);
});

test('a wrong configuration is refused and reported to the host', async ({ page }) => {
  await open(page, withElement(site(), 'systems="attention nonsense" lengths="64"'));
  await listen(page);
  const outcome = await page.evaluate(() => document.querySelector('crossover-race').start().then(() => 'raced', (error) => error.code));
  expect(['invalid-setup', 'unknown-system']).toContain(outcome);
  await page.evaluate(() => document.querySelector('crossover-race').setAttribute('systems', 'attention'));
  await page.evaluate(() => document.querySelector('crossover-race').setAttribute('level', 'deep'));
  const frame = await frameOf(page);
  await expect(frame.getByTestId('setup-error')).toContainText('core');
  await expect.poll(() => page.evaluate(() => window.heard.at(-1).detail.code)).toBe('invalid-setup');
});

for (const [name, report] of [
  ['cut off', '1AABkZWZsYXRl'],
  ['of a newer version', '9AABkZWZsYXRl'],
  ['longer than any link', `1${'A'.repeat(70_000)}`],
]) {
  test(`a report that is ${name} is refused in words, told to the host, and nothing else is raced in its place`, async ({ page }) => {
    await open(page, withElement(site(), `report="${report}"`));
    await listen(page);
    const start = () => page.evaluate(() => document.querySelector('crossover-race').start().then(() => 'raced', (error) => error.code));
    expect(await start()).toBe('bad-link');
    const frame = await frameOf(page);
    await expect(frame.getByTestId('link-error')).toBeVisible();
    await expect(frame.getByTestId('setup-error')).toHaveCount(0);
    // A repeated request gets the answer again, and no other race starts.
    expect(await start()).toBe('bad-link');
    await expect(frame.getByTestId('start')).toHaveAttribute('aria-disabled', 'true');
    await frame.getByTestId('start').dispatchEvent('click');
    await page.waitForTimeout(500);
    expect(await page.evaluate(() => window.heard.filter((event) => event.type === 'progress'))).toEqual([]);
    expect(await page.evaluate(() => document.querySelector('crossover-race').state)).toBe('idle');
    expect(await violations(frame)).toEqual([]);
    // A valid race replaces it.
    await page.evaluate(() => {
      const element = document.querySelector('crossover-race');
      element.removeAttribute('report');
      Object.assign(element, { systems: ['attention', 'hyena'], lengths: '64', width: 32, heads: 2, backend: 'cpu' });
    });
    await expect(frame.getByTestId('start')).toHaveAttribute('aria-disabled', 'false');
    await expect(frame.getByTestId('link-error')).toHaveCount(0);
    expect(await page.evaluate(() => document.querySelector('crossover-race').start().then((result) => result.status))).toBe('done');
  });
}

test('a recorded race is shown, not run, and can be run here', async ({ page }) => {
  await page.goto('./');
  await page.waitForFunction(() => window.crossover);
  const link = await page.evaluate(async () => window.crossover.encodeLink(await window.crossover.race({ systems: ['attention', 'hyena'], lengths: [64, 128], width: 32, heads: 2, backend: 'cpu' })));
  await open(page, withElement(site(), `report="${link}" systems="attention hyena"`));
  const frame = await frameOf(page);
  await frame.getByTestId('press').click();
  await expect(frame.getByTestId('chart').locator('svg')).toBeVisible();
  await expect(frame.getByTestId('start')).toBeVisible();
  await page.waitForTimeout(1000);
  expect(await page.evaluate(() => document.querySelector('crossover-race').state)).toBe('idle');
  expect((await frame.getByTestId('full').evaluate((anchor) => anchor.href)).length).toBeGreaterThan(150);
  await frame.getByTestId('start').click();
  await expect.poll(() => page.evaluate(() => document.querySelector('crossover-race').result?.status), { timeout: 60_000 }).toBe('done');
});

test.describe('autoplay', () => {
  test('starts only embeds in view', async ({ page }) => {
    await open(page, `<!doctype html><title>x</title><link rel="icon" href="data:,"><script type="module" src="${site()}crossover.js"></script>
      <crossover-race ${SMALL} autoplay="visible"></crossover-race><div style="height: 4000px"></div><crossover-race ${SMALL} autoplay="visible"></crossover-race>`);
    await expect.poll(() => page.evaluate(() => document.querySelectorAll('crossover-race')[0].result?.status), { timeout: 60_000 }).toBe('done');
    expect(await page.evaluate(() => document.querySelectorAll('crossover-race')[1].state)).toBe('still');
    await page.evaluate(() => document.querySelectorAll('crossover-race')[1].scrollIntoView());
    await expect.poll(() => page.evaluate(() => document.querySelectorAll('crossover-race')[1].result?.status), { timeout: 60_000 }).toBe('done');
  });

  test('needs the attribute and respects reduced motion', async ({ page }) => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await open(page, withElement(site(), `${SMALL} autoplay="visible"`));
    await frameOf(page);
    await page.waitForTimeout(2500);
    expect(await page.evaluate(() => document.querySelector('crossover-race').state)).toBe('still');
    await page.emulateMedia({ reducedMotion: 'no-preference' });
    await open(page, withElement(site(), SMALL));
    await frameOf(page);
    await page.waitForTimeout(2500);
    expect(await page.evaluate(() => document.querySelector('crossover-race').state)).toBe('still');
  });
});

test.describe('hosts', () => {
  test('with a strict content policy the element works where the policy names the site (fault 27)', async ({ page }) => {
    const origin = new URL(site()).origin;
    await open(page, withElement(site()), {
      'content-security-policy': `default-src 'none'; script-src ${origin}; frame-src ${origin}; style-src 'none'; img-src data:`,
    });
    const frame = await frameOf(page);
    await frame.getByTestId('press').click();
    await expect.poll(() => page.evaluate(() => document.querySelector('crossover-race').result?.status), { timeout: 60_000 }).toBe('done');
  });

  test.describe('that forbid frames', () => {
    test.use({ expectedErrors: [/frame-src|Framing|postMessage|Refused/] });

    test('show what is inside the element instead, and hear why', async ({ page }) => {
      const origin = new URL(site()).origin;
      await open(page, withElement(site()), { 'content-security-policy': `default-src 'none'; script-src ${origin}; img-src data:` });
      const code = await page.evaluate(() => new Promise((resolve) => {
        document.querySelector('crossover-race').addEventListener('error', (event) => resolve(event.detail.code), { once: true });
      }));
      expect(code).toBe('frame-silent');
      await expect(page.getByRole('link', { name: 'a race' })).toBeVisible();
    });
  });

  test('that are isolated themselves take the frame in (fault 27)', async ({ page }) => {
    await open(page, withElement(site()), COEP);
    expect(await page.evaluate(() => window.crossOriginIsolated)).toBe(true);
    const frame = await frameOf(page);
    await frame.getByTestId('press').click();
    await expect.poll(() => page.evaluate(() => document.querySelector('crossover-race').result?.status), { timeout: 60_000 }).toBe('done');
    expect(await page.evaluate(() => document.querySelector('crossover-race').result.environment.isolated)).toBe(true);
  });

  test('in a sandbox with their own origin work as any other (fault 27)', async ({ page }) => {
    other.pages['/inner'] = { body: withElement(site()) };
    await open(page, '<!doctype html><title>x</title><link rel="icon" href="data:,"><iframe title="x" src="/inner" sandbox="allow-scripts allow-same-origin" width="900" height="900"></iframe>');
    const inner = page.frame({ url: /inner/ });
    const frame = await frameOf(inner);
    await frame.getByTestId('press').click();
    await expect.poll(() => inner.evaluate(() => document.querySelector('crossover-race').result?.status), { timeout: 60_000 }).toBe('done');
  });

  test.describe('in a sandbox without an origin', () => {
    // The frame obeys the restrictions of the sandbox.
    test.use({ expectedErrors: [/Permissions policy violation/] });

    test('get a race, if not its report or a wake lock (faults 27 and 32)', async ({ page }) => {
      other.pages['/inner'] = { body: withElement(site()) };
      await open(page, '<!doctype html><title>x</title><link rel="icon" href="data:,"><iframe title="x" src="/inner" sandbox="allow-scripts" width="900" height="900"></iframe>');
      const inner = page.frame({ url: /inner/ });
      const frame = await frameOf(inner);
      expect(await frame.evaluate(() => window.origin)).toBe('null');
      const sized = await inner.evaluate(() => document.querySelector('crossover-race').shadowRoot.querySelector('iframe').style.height);
      await frame.getByTestId('press').click();
      await expect(frame.getByTestId('start')).toBeVisible({ timeout: 90_000 });
      await expect(frame.getByTestId('headline')).not.toHaveClass(/idle/, { timeout: 90_000 });
      await expect(frame.getByTestId('error')).toHaveCount(0);
      // Heights are the only message to unknown hosts.
      await expect.poll(() => inner.evaluate(() => document.querySelector('crossover-race').shadowRoot.querySelector('iframe').style.height)).not.toBe(sized);
      expect(await inner.evaluate(() => document.querySelector('crossover-race').result)).toBeNull();
    });
  });
});

test.describe('several on a page', () => {
  test('five take turns: no two of them measure at the same time (fault 27)', async ({ page }) => {
    await open(page, `<!doctype html><title>x</title><link rel="icon" href="data:,"><script type="module" src="${site()}crossover.js"></script>
      ${`<crossover-race ${MIDDLE}></crossover-race>`.repeat(5)}`);
    // All in view, since races out of view pause.
    await page.setViewportSize({ width: 1280, height: 5000 });
    const spans = await page.evaluate(async () => {
      await customElements.whenDefined('crossover-race');
      const elements = [...document.querySelectorAll('crossover-race')];
      const spans = elements.map(() => ({ waited: false, first: 0, last: 0 }));
      elements.forEach((element, index) => element.addEventListener('progress', ({ detail }) => {
        if (detail.activity === 'waiting') {
          spans[index].waited = true;
        } else {
          spans[index].first ||= performance.now();
          spans[index].last = performance.now();
        }
      }));
      await Promise.all(elements.map((element) => element.start()));
      return spans;
    });
    spans.sort((a, b) => a.first - b.first);
    expect(spans.every((span) => span.first > 0)).toBe(true);
    // The number of waiting races depends on how fast frames load. Any waiting race shows that turns are requested.
    expect(spans.filter((span) => span.waited).length).toBeGreaterThanOrEqual(1);
    for (const [index, span] of spans.slice(1).entries()) expect(span.first).toBeGreaterThanOrEqual(spans[index].last);
  });

  test('one that waits can be cancelled, and one that is removed gives its turn away (fault 27)', async ({ page }) => {
    await open(page, `<!doctype html><title>x</title><link rel="icon" href="data:,"><script type="module" src="${site()}crossover.js"></script>
      <crossover-race ${LONG}></crossover-race><crossover-race ${SMALL}></crossover-race>`);
    await page.setViewportSize({ width: 1280, height: 2400 });
    const outcome = await page.evaluate(async () => {
      await customElements.whenDefined('crossover-race');
      const [long, small] = document.querySelectorAll('crossover-race');
      const next = (element, activity) => new Promise((resolve) => {
        element.addEventListener('progress', function hear({ detail }) {
          if ((detail.activity === 'waiting') !== (activity === 'waiting')) return;
          element.removeEventListener('progress', hear);
          resolve();
        });
      });
      const working = next(long, 'working');
      const removed = long.start().then(() => 'raced', (error) => error.code);
      await working;
      let waiting = next(small, 'waiting');
      const cancelled = small.start().then(() => 'raced', (error) => error.code);
      await waiting;
      small.cancel();
      const first = await cancelled;
      waiting = next(small, 'waiting');
      const second = small.start().then((report) => report.status, (error) => error.code);
      await waiting;
      long.remove();
      return { removed: await removed, first, second: await second };
    });
    expect(outcome).toEqual({ removed: 'removed', first: 'cancelled', second: 'done' });
  });
});

test('a race that is scrolled out of view rests, and goes on in view (fault 27)', async ({ page }) => {
  await open(page, withElement(site(), MIDDLE, '<div style="height: 5000px"></div>'));
  await listen(page);
  const frame = await frameOf(page);
  await frame.getByTestId('press').click();
  await page.waitForFunction(() => window.heard.some((event) => event.type === 'progress' && event.detail.fraction > 0));
  await page.evaluate(() => window.scrollTo(0, 4500));
  // The running sample ends first.
  const events = () => page.evaluate(() => window.heard.length);
  await expect.poll(async () => {
    const before = await events();
    await page.waitForTimeout(1500);
    return (await events()) - before;
  }, { timeout: 30_000 }).toBe(0);
  expect(await page.evaluate(() => window.heard.some((event) => event.type === 'report'))).toBe(false);
  await page.evaluate(() => window.scrollTo(0, 0));
  await expect.poll(() => page.evaluate(() => document.querySelector('crossover-race').result?.status), { timeout: 90_000 }).toBe('done');
});

test('the still’s way to the full page leads to the same race, set up', async ({ page }) => {
  await page.goto(`${site()}embed.html#systems=performer+linformer&lengths=100+200&width=64&heads=4&causal=false&theme=dark`);
  const href = await page.locator('#full').evaluate((anchor) => anchor.href);
  expect(href).not.toContain('theme');
  await page.goto(href);
  await expect(page.getByTestId('config-lengths')).toHaveValue('100 200');
  await expect(page.getByTestId('config-width')).toHaveValue('64');
  await expect(page.getByTestId('config-heads')).toHaveValue('4');
  await expect(page.getByTestId('config-causal')).not.toBeChecked();
  await expect(page.getByTestId('config-lane-performer')).toBeVisible();
  await expect(page.getByTestId('config-lane-linformer')).toBeVisible();
  await expect(page.getByTestId('config-lane-attention')).toHaveCount(0);
  // The address becomes the race's link with an equal content.
  await expect.poll(() => page.evaluate(() => location.hash)).toMatch(/^#r=/);
  await page.reload();
  await expect(page.getByTestId('config-lengths')).toHaveValue('100, 200');
  // A frame without a configuration links to the page's default.
  await page.goto(`${site()}embed.html#theme=dark`);
  expect(await page.locator('#full').getAttribute('href')).toBe('./');
});

test('a press that was meant for something else changes nothing that is kept (fault 27: clickjacking)', async ({ page }) => {
  // On its own, where browsers do not refuse storage.
  await page.goto(`${site()}embed.html#systems=attention&lengths=64&width=32&heads=2&backend=cpu`);
  await page.getByTestId('press').click();
  await expect(page.getByTestId('headline')).not.toHaveClass(/idle/, { timeout: 60_000 });
  await expect(page.getByTestId('start')).toBeVisible({ timeout: 60_000 });
  const kept = await page.evaluate(async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length, (await caches.keys()).length]);
  expect(kept).toEqual([0, 0, 0, 0]);
});

test('a frame without a size does not start by itself (fault 27)', async ({ page }) => {
  await open(page, withElement(site(), `${SMALL} autoplay="visible" style="width: 0; height: 0; overflow: hidden"`));
  await page.waitForTimeout(2500);
  expect(await page.evaluate(() => document.querySelector('crossover-race').state)).toBe('still');
  await page.evaluate(() => { document.querySelector('crossover-race').removeAttribute('style'); });
  await expect.poll(() => page.evaluate(() => document.querySelector('crossover-race').result?.status), { timeout: 60_000 }).toBe('done');
});

test('a host and a frame that chase each other’s height come to rest (fault 27)', async ({ page }) => {
  // A frame whose content grows when the frame shrinks; without a guard the resizing would never end.
  await page.route('**/embed.html', (route) => route.fulfill({
    contentType: 'text/html',
    headers: { 'cross-origin-resource-policy': 'cross-origin' },
    body: `<!doctype html><body id="press"><script>
      let asked = 0;
      const ask = () => { asked += 1; parent.postMessage({ crossover: 1, type: 'height', height: innerHeight > 400 ? 300 : 500 }, '*'); };
      addEventListener('resize', ask);
      ask();
    </script>`,
  }));
  await open(page, withElement(site()));
  await page.evaluate(() => {
    window.heights = [];
    const frame = document.querySelector('crossover-race').shadowRoot.querySelector('iframe');
    new ResizeObserver(() => window.heights.push(frame.clientHeight)).observe(frame);
  });
  const changes = () => page.evaluate(() => window.heights.length);
  await expect.poll(async () => {
    const before = await changes();
    await page.waitForTimeout(1000);
    return (await changes()) - before;
  }).toBe(0);
  expect(await changes()).toBeLessThan(24);
  expect(await height(page)).toBe(500);
});

test('before the press an embed weighs at most 20 kB', async ({ page }) => {
  const sizes = [];
  page.on('requestfinished', (request) => { if (request.url().startsWith(site())) sizes.push(request.sizes()); });
  await open(page, withElement(site()));
  await frameOf(page);
  await page.waitForLoadState('networkidle');
  const bytes = (await Promise.all(sizes)).reduce((sum, { responseBodySize }) => sum + responseBodySize, 0);
  expect(bytes).toBeGreaterThan(5000);
  expect(bytes).toBeLessThanOrEqual(20_000);
});

for (const [width, scheme] of [[390, 'light'], [390, 'dark'], [1100, 'light'], [1100, 'dark']]) {
  test(`the frame fits at ${width} pixels in ${scheme}`, async ({ page }) => {
    await page.setViewportSize({ width, height: 1000 });
    await page.emulateMedia({ colorScheme: scheme });
    await open(page, withElement(site()));
    const frame = await frameOf(page);
    await page.screenshot({ path: test.info().outputPath('still.png') });
    expect(await violations(frame), 'the still').toEqual([]);
    await frame.getByTestId('press').click();
    await expect.poll(() => page.evaluate(() => document.querySelector('crossover-race').result?.status), { timeout: 60_000 }).toBe('done');
    expect(await violations(frame), 'the race').toEqual([]);
    const overflow = await frame.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    // The host receives a height shortly after it changes.
    await expect.poll(() => frame.evaluate(() => document.documentElement.scrollHeight - document.documentElement.clientHeight)).toBeLessThanOrEqual(1);
    await page.screenshot({ path: test.info().outputPath('race.png'), fullPage: true });
  });
}
