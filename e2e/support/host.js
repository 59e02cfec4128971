// A page on another site: `localhost`, where Crossover is at `127.0.0.1`.

import { createServer } from 'node:http';

/** Hosts with these headers isolate themselves and embed only consenting frames. */
export const COEP = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

/**
 * Serves pages by their path, e.g. `{'/': {body, headers}}`; anything else is not found.
 * @returns {Promise<{url: string, pages: object, stop: () => Promise<void>}>}
 */
export async function host(pages = {}) {
  const server = createServer((request, response) => {
    const page = pages[new URL(request.url, 'http://localhost').pathname];
    response.writeHead(page ? 200 : 404, { 'content-type': page?.type ?? 'text/html; charset=utf-8', ...page?.headers });
    response.end(page?.body ?? '');
  });
  await new Promise((resolve) => { server.listen(0, 'localhost', resolve); });
  return {
    url: `http://localhost:${server.address().port}/`,
    pages,
    stop: () => new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };
}

/** A small race: it takes a second or two. */
export const SMALL = 'systems="attention hyena" lengths="64 128" width="32" heads="2" backend="cpu" budgetms="20000"';

/** A race that takes several seconds, longer than the loading of an engine. */
export const MIDDLE = 'systems="attention hyena" lengths="512 1024 2048" width="64" heads="2" backend="cpu" budgetms="60000"';

/** A race that takes long. */
export const LONG = 'systems="attention hyena" lengths="2048 4096 8192" width="256" backend="cpu" budgetms="120000"';

/** A page with the element. `site` is Crossover's address. */
export const withElement = (site, attributes = SMALL, more = '') => `<!doctype html><html lang="en"><title>An article</title>
<link rel="icon" href="data:,">
<h1>An article</h1>
<script type="module" src="${site}crossover.js"></script>
<crossover-race ${attributes}><a href="${site}">a race</a></crossover-race>
${more}`;

/** The frame of the element with this index. */
export async function frameOf(page, index = 0) {
  await page.waitForFunction((at) => document.querySelectorAll('crossover-race')[at]?.shadowRoot?.querySelector('iframe'), index);
  const handle = await page.evaluateHandle((at) => document.querySelectorAll('crossover-race')[at].shadowRoot.querySelector('iframe'), index);
  const frame = await handle.asElement().contentFrame();
  await frame.waitForSelector('#press', { state: 'attached' });
  return frame;
}

/** Records the element's events as `window.heard`. */
export const listen = (page) => page.evaluate(() => {
  window.heard = [];
  for (const element of document.querySelectorAll('crossover-race')) {
    for (const type of ['progress', 'report', 'error']) {
      element.addEventListener(type, (event) => window.heard.push({ type, detail: event.detail }));
    }
  }
});
