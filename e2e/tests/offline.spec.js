// Use without a network, and builds that change under an open page.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { Playground } from '../support/playground.js';
import { root } from '../support/server.js';
import { serveFolder } from '../support/static.js';

const dist = join(root, 'dist');

/** @type {Awaited<ReturnType<typeof serveFolder>>} */
let site;
test.beforeEach(async () => { site = await serveFolder(dist); });
test.afterEach(async ({ page }) => {
  // A page that is still loading would report the server's shutdown as an error.
  await page.close();
  await site.stop();
});

/** Opens the page and waits until everything is stored. */
async function visit(page, address = site.url) {
  await page.goto(address);
  await page.waitForFunction(() => window.crossover);
  await page.evaluate(() => window.crossover.environment());
}

/** Waits until the whole build is stored: all files of its service worker's list, and an engine. */
async function kept(page) {
  const shell = JSON.parse(/^const SHELL = (.*);$/m.exec(await readFile(join(dist, 'sw.js'), 'utf8'))[1]);
  await expect.poll(() => page.evaluate(async (shell) => {
    for (const name of await caches.keys()) {
      const urls = new Set((await (await caches.open(name)).keys()).map((request) => request.url));
      const missing = shell.filter((path) => !urls.has(new URL(path, document.baseURI).href));
      if (missing.length === 0 && [...urls].some((url) => url.endsWith('worker_bg.wasm'))) return true;
    }
    return false;
  }, shell), { timeout: 60_000 }).toBe(true);
}

/** A build that differs in its page only. */
async function nextBuild() {
  const script = await readFile(join(dist, 'sw.js'), 'utf8');
  const page = await readFile(join(dist, 'index.html'), 'utf8');
  const answers = new Map([
    ['/sw.js', script.replace(/const BUILD = '\w+'/, "const BUILD = 'ffffffffffff'")],
    ['/index.html', page.replace('<body>', '<body data-build="next">')],
  ]);
  site.answers = (path) => answers.get(path);
}

test.describe('with service workers', () => {
  test.use({
    serviceWorkers: 'allow',
    // Requests that a test has refused: another origin's file by isolation, a service worker's script by its server.
    expectedErrors: [/NotSameOriginAfterDefaultedToSameOriginByCoep|A bad HTTP response code \(500\)/],
  });

  test('page, race, embeds and links work offline after the first visit (fault 30)', async ({ page }) => {
    await visit(page);
    await kept(page);
    await site.stop();
    await page.reload();
    const playground = new Playground(page);
    await expect(playground.start).toBeVisible();
    await page.evaluate(() => window.crossover.environment());
    await playground.small();
    await playground.start.click();
    await playground.finished();
    await expect(playground.table).toBeVisible();
    await expect(playground.error).toHaveCount(0);
    // With a fragment, a query and by its file name.
    for (const address of ['?utm_source=x', 'index.html']) {
      await page.goto(`${site.url}${address}`);
      await expect(playground.start).toBeVisible();
    }
    expect(await page.evaluate(() => window.crossOriginIsolated)).toBe(true);
    await page.goto(`${site.url}embed.html#systems=attention&lengths=64&width=32&heads=2&backend=cpu`);
    await page.getByTestId('press').click();
    await expect(page.getByTestId('headline')).not.toHaveClass(/idle/, { timeout: 60_000 });
    site = await serveFolder(dist);
  });

  test('a newer build waits, shows a notice and takes over on request', async ({ page }) => {
    await visit(page);
    await kept(page);
    await page.reload();
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    await nextBuild();
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
    await expect(page.getByTestId('update')).toBeVisible({ timeout: 60_000 });
    expect(await violations(page)).toEqual([]);
    // Nothing is replaced before that, not even by a reload.
    await page.reload();
    await expect(page.getByTestId('start')).toBeVisible();
    expect(await page.evaluate(() => document.body.dataset.build)).toBeUndefined();
    let loads = 0;
    page.on('load', () => { loads += 1; });
    await page.getByTestId('update-apply').click();
    await expect.poll(() => page.evaluate(() => document.body.dataset.build).catch(() => '')).toBe('next');
    await expect.poll(() => loads).toBe(1);
    await page.waitForTimeout(1500);
    expect(loads).toBe(1);
    await expect(page.getByTestId('update')).toHaveCount(0);
  });

  test('during a race its files stay and no update is offered (fault 30)', async ({ page }) => {
    await visit(page);
    await kept(page);
    await page.reload();
    const playground = new Playground(page);
    await expect(playground.start).toBeVisible();
    await page.evaluate(() => window.crossover.environment());
    // Longer than fetching a build takes.
    await playground.set('lengths', '64, 8192, 16384, 32768');
    await playground.set('budget', 600);
    await playground.choose('backend', 'cpu');
    await playground.start.click();
    await expect(playground.cancel).toBeVisible();
    await nextBuild();
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
    await expect(page.getByTestId('update')).toBeVisible({ timeout: 60_000 });
    await expect(page.getByTestId('update-apply')).toBeDisabled();
    expect(await page.evaluate(async () => (await caches.keys()).length)).toBe(2);
    // The engine can even restart from its own build's files.
    await page.evaluate(() => window.crossover.loseDevice());
    await playground.cancel.click();
    await playground.finished();
    await expect(page.getByTestId('update-apply')).toBeEnabled();
  });

  test('range requests and other origins bypass the cache', async ({ page }) => {
    await visit(page);
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    const other = await serveFolder(dist, { headers: {} });
    const part = await page.evaluate(async () => {
      const response = await fetch('./crossover.js', { headers: { range: 'bytes=0-9' } });
      return [response.status, (await response.text()).length];
    });
    expect(part).toEqual([206, 10]);
    expect(site.requests.some((request) => request.range === 'bytes=0-9')).toBe(true);
    const type = await page.evaluate((url) => fetch(url, { mode: 'no-cors' }).then((response) => response.type, (error) => error.name), `${other.url}crossover.js`);
    // This server cannot set the page's own content policy; an opaque response arrives as one.
    expect(['opaque', 'TypeError']).toContain(type);
    await other.stop();
  });

  test('an older service worker with a new page changes nothing (fault 31)', async ({ page }) => {
    // A service worker without messages and without a cache.
    site.answers = (path) => (path === '/sw.js' ? 'addEventListener("install", () => skipWaiting()); addEventListener("activate", (event) => event.waitUntil(clients.claim())); addEventListener("fetch", () => {});' : undefined);
    await visit(page);
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    site.answers = () => undefined;
    await visit(page);
    await expect(page.getByTestId('start')).toBeVisible();
  });

  test('a failed registration has no effect (fault 31)', async ({ page }) => {
    site.answers = (path) => (path === '/sw.js' ? { status: 500, body: 'no' } : undefined);
    await visit(page);
    await expect(page.getByTestId('start')).toBeVisible();
    expect(await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length)).toBe(0);
  });

  test('a host that never isolates causes a single reload (fault 31)', async ({ page }) => {
    const bare = await serveFolder(dist, { headers: {} });
    // A service worker that adds no headers.
    bare.answers = (path) => (path === '/sw.js' ? 'addEventListener("install", () => skipWaiting()); addEventListener("activate", (event) => event.waitUntil(clients.claim()));' : undefined);
    let loads = 0;
    page.on('load', () => { loads += 1; });
    await visit(page, bare.url);
    await page.waitForTimeout(2500);
    expect(loads).toBe(2);
    expect(await page.evaluate(() => window.crossOriginIsolated)).toBe(false);
    await expect(page.getByTestId('start')).toBeVisible();
    await bare.stop();
  });
});

test.describe('files that are missing', () => {
  test.use({ expectedErrors: [/Failed to load resource|Failed to fetch|MIME|expected magic|net::ERR|wasm: HTTP 404/] });

  test('a page module missing after a deploy asks for a reload (fault 30)', async ({ page }) => {
    const html = await readFile(join(dist, 'index.html'), 'utf8');
    site.answers = (path) => {
      if (path.startsWith('/page/')) return { status: 404, body: 'gone' };
      // The server's current files for requests without a cache.
      return path === '/index.html' && site.requests.length > 1 ? html.replaceAll(/page\/\w+/g, 'page/ffffffffffff') : undefined;
    };
    await page.goto(site.url);
    await expect(page.locator('#panic')).toContainText('newer version');
    await expect(page.locator('#panic a')).toBeVisible();
    site.answers = () => undefined;
    await page.locator('#panic a').click();
    await expect(page.getByTestId('start')).toBeVisible();
  });

  test('page wasm blocked by a proxy is explained (fault 30)', async ({ page }) => {
    site.answers = (path) => (path.endsWith('www_bg.wasm') ? { status: 403, body: '<h1>Blocked</h1>', type: 'text/html' } : undefined);
    await page.goto(site.url);
    await expect(page.locator('#panic')).toContainText('proxy');
  });

  test('without the second module the page races, and shows the result once loaded', async ({ page }) => {
    site.answers = (path) => (path.endsWith('split_rest.wasm') ? { status: 404, body: 'gone' } : undefined);
    await visit(page);
    const playground = new Playground(page);
    await expect(page.getByTestId('rest-failed')).toContainText('could not be loaded');
    await playground.small();
    await playground.start.click();
    await expect(playground.cancel).toBeVisible();
    await page.getByTestId('share').click();
    // A second failure has the same message.
    await page.getByTestId('rest-retry').click();
    await expect(page.getByTestId('rest-failed')).toBeVisible();
    await expect(page.getByTestId('results-table')).toHaveCount(0);
    site.answers = () => undefined;
    await page.getByTestId('rest-retry').click();
    await expect(page.getByTestId('rest-failed')).toHaveCount(0);
    // The requested dialog.
    await expect(page.getByTestId('share-dialog')).toBeVisible();
    await page.keyboard.press('Escape');
    await playground.finished();
    await expect(playground.headline).not.toHaveClass(/idle/);
    await expect(playground.table).toBeVisible();
    await expect(page.getByTestId('run')).toHaveCount(1);
  });

  for (const running of [false, true]) {
    test(`a deploy before the second module is loaded: a ${running ? 'running' : 'finished'} race is kept, then a reload is offered (fault 30)`, async ({ page }) => {
      page.on('dialog', (dialog) => { throw new Error(`asked before leaving: ${dialog.type()}`); });
      const next = (await readFile(join(dist, 'index.html'), 'utf8')).replaceAll(/page\/[0-9a-f]+/g, 'page/ffffffff');
      let deployed = false;
      site.answers = (path) => {
        if (path.endsWith('split_rest.wasm')) return { status: 404, body: 'gone' };
        return deployed && path === '/index.html' ? next : undefined;
      };
      await visit(page);
      await expect(page.getByTestId('rest-failed')).toBeVisible();
      const playground = new Playground(page);
      await playground.small();
      if (running) await playground.set('lengths', '64, 128, 4096, 8192, 16384');
      await playground.set('budget', running ? 120 : 10);
      await playground.start.click();
      deployed = true;
      await page.getByTestId('rest-retry').click();
      const notice = page.getByTestId('rest-failed');
      await expect(notice).toContainText('A newer version of Crossover was put online');
      await expect(notice).toContainText('The race is stored', { timeout: 60_000 });
      // Without the second module the page cannot show that the race, whose budget is ten seconds, has ended.
      if (!running) await page.waitForTimeout(12_000);
      site.answers = () => undefined;
      await page.getByTestId('rest-reload').click();
      await expect(page.getByTestId('run')).toHaveCount(1);
      await page.getByTestId('run-open').click();
      await expect(page.getByTestId('opened')).toBeVisible();
      await expect(playground.table).toContainText('ms');
    });
  }

  test('a link opens once the second module is loaded', async ({ page }) => {
    await visit(page);
    await new Playground(page).set('lengths', '64, 128');
    await page.getByTestId('share').click();
    const link = await page.getByTestId('share-link').inputValue();
    site.answers = (path) => (path.endsWith('split_rest.wasm') ? { status: 404, body: 'gone' } : undefined);
    await page.goto('about:blank');
    await page.goto(link);
    await expect(page.getByTestId('rest-failed')).toBeVisible();
    expect(page.url()).toBe(link);
    site.answers = () => undefined;
    await page.getByTestId('rest-retry').click();
    await expect(page.getByTestId('config-lengths')).toHaveValue('64, 128');
  });

  test('a language that cannot be loaded can be tried again', async ({ page }) => {
    await visit(page);
    site.answers = (path) => (path.endsWith('split_chinese.wasm') ? { status: 404, body: 'gone' } : undefined);
    await page.getByTestId('language-zh-Hans').click();
    await expect(page.getByTestId('language-failed')).toContainText('简体中文');
    await expect(page.locator('html')).toHaveAttribute('lang', 'en');
    // The next visit begins in this language.
    await page.reload();
    await expect(page.getByTestId('language-failed')).toBeVisible();
    site.answers = () => undefined;
    await page.getByTestId('language-retry').click();
    await expect(page.locator('html')).toHaveAttribute('lang', 'zh-Hans');
    await expect(page.getByTestId('language-failed')).toHaveCount(0);
  });

  test('an embed without its second module can be pressed again', async ({ page }) => {
    site.answers = (path) => (path.endsWith('split_rest.wasm') ? { status: 404, body: 'gone' } : undefined);
    await page.goto(`${site.url}embed.html#systems=attention&lengths=64&width=32&heads=2&backend=cpu`);
    await page.getByTestId('press').click();
    await expect(page.locator('#panic')).toContainText('could not be loaded');
    site.answers = () => undefined;
    await page.getByTestId('press').click();
    await expect(page.getByTestId('headline')).not.toHaveClass(/idle/, { timeout: 60_000 });
    await expect(page.locator('#panic')).toBeHidden();
  });

  test('an engine missing after a deploy reports a newer version (fault 30)', async ({ page }) => {
    await visit(page);
    site.answers = (path) => {
      if (path.startsWith('/worker/')) return { status: 404, body: 'gone' };
      return path === '/manifest.json' ? '{"boot": "elsewhere.js", "workers": {}}' : undefined;
    };
    const error = await page.evaluate(() => {
      const connection = window.crossover.connect(() => {});
      connection.restart();
      return window.crossover.race({ lengths: [64] }).then(() => 'raced', (failure) => `${failure.code}: ${failure.message}`);
    });
    expect(error).toMatch(/worker-load-failed: A newer version/);
  });

  test('an engine’s wasm replaced by a proxy’s page is an error with a remedy (fault 30)', async ({ page }) => {
    site.answers = (path) => (path.endsWith('worker_bg.wasm') ? { body: '<h1>Blocked</h1>', type: 'text/html' } : undefined);
    await page.goto(site.url);
    await page.waitForFunction(() => window.crossover);
    const error = await page.evaluate(() => window.crossover.race({ lengths: [64] }).then(() => 'raced', (failure) => `${failure.code}: ${failure.message}`));
    expect(error).toMatch(/worker-load-failed: .*Check the connection and reload/);
  });
});

test('the manifest has names and icons for installation', async ({ page }) => {
  await page.goto(site.url);
  const address = await page.evaluate(() => document.querySelector('link[rel=manifest]').href);
  const manifest = JSON.parse(await page.evaluate((url) => fetch(url).then((response) => response.text()), address));
  expect(manifest).toMatchObject({ name: 'Crossover', start_url: './', scope: './', display: 'standalone' });
  const sizes = await page.evaluate(async ({ icons, address }) => {
    const load = async ({ src }) => {
      const image = new Image();
      image.src = new URL(src, address).href;
      await image.decode();
      return `${image.naturalWidth}x${image.naturalHeight}`;
    };
    return Promise.all(icons.filter((icon) => icon.type === 'image/png').map(async (icon) => [icon.sizes, await load(icon), icon.purpose]));
  }, { icons: manifest.icons, address });
  expect(sizes.map(([said]) => said)).toEqual(expect.arrayContaining(['192x192', '512x512']));
  for (const [said, is] of sizes) expect(is).toBe(said);
  expect(sizes.some(([, , purpose]) => purpose === 'maskable')).toBe(true);
});

test.describe('with service workers allowed', () => {
  test.use({ serviceWorkers: 'allow' });

  test('the browser finds the site installable', async ({ page }) => {
    await visit(page);
    const session = await page.context().newCDPSession(page);
    const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
    expect(installabilityErrors.map((error) => error.errorId).filter((id) => id !== 'in-incognito')).toEqual([]);
  });
});

test.describe('without scripts', () => {
  test.use({ javaScriptEnabled: false });

  test('the page explains itself and shows an example (fault 34)', async ({ page }) => {
    await page.goto(site.url);
    await expect(page.locator('noscript p').first()).toContainText('needs JavaScript');
    await expect(page.locator('noscript img')).toBeVisible();
  });
});

test('without WebAssembly the page says so and shows an example (fault 34)', async ({ page }) => {
  await page.addInitScript(() => { delete window.WebAssembly; });
  await page.goto(site.url);
  await expect(page.locator('#panic')).toContainText('no WebAssembly');
  await expect(page.locator('#example img')).toBeVisible();
});

test('the site describes its embeds by oEmbed', async ({ page, request }) => {
  await page.goto(site.url);
  const address = await page.evaluate(() => document.querySelector('link[type="application/json+oembed"]').href);
  const description = await (await request.get(address)).json();
  expect(description).toMatchObject({ version: '1.0', type: 'rich' });
  expect(description.html).toContain('embed.html');
});

test.describe('a first visit without a network', () => {
  test.use({ serviceWorkers: 'allow', expectedErrors: [/Failed to load resource|Failed to fetch|net::ERR/] });

  test('leaves no state that breaks the next visit (fault 30)', async ({ page, context }) => {
    await context.setOffline(true);
    await expect(page.goto(site.url)).rejects.toThrow(/ERR_INTERNET_DISCONNECTED/);
    expect(site.requests).toEqual([]);
    await context.setOffline(false);
    await visit(page);
    await kept(page);
    await expect(page.getByTestId('start')).toBeVisible();
  });

  test('a lost network before the page module loads is explained (fault 30)', async ({ page }) => {
    await page.route('**/page/**', (route) => route.abort('internetdisconnected'));
    await page.goto(site.url);
    await expect(page.locator('#panic')).toBeVisible();
    await expect(page.locator('#panic')).toContainText(/connection|network/i);
    await page.unroute('**/page/**');
    await page.reload();
    await expect(page.getByTestId('start')).toBeVisible();
    await expect(page.locator('#panic')).toBeHidden();
  });
});
