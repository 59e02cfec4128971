// A simple static server for any folder. Its content can be changed, removed or cut off while a browser uses it, as by
// deployments and proxies.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';

const TYPES = {
  '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json',
  '.css': 'text/css', '.svg': 'image/svg+xml', '.png': 'image/png', '.webmanifest': 'application/manifest+json',
};

export const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

/**
 * `answers` maps a path such as `/sw.js` to text, or to `{status, body, type}`, or is a function of the path that may
 * answer so.
 */
export async function serveFolder(folder, { headers = ISOLATED } = {}) {
  const site = { url: '', answers: () => undefined, requests: [], down: false };
  const server = createServer(async (request, response) => {
    if (site.down) {
      request.socket.destroy();
      return;
    }
    const address = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    const path = address.endsWith('/') ? `${address}index.html` : address;
    site.requests.push({ path, range: request.headers.range });
    let answer = site.answers(path);
    if (typeof answer === 'string') answer = { body: answer };
    try {
      const body = answer?.body ?? (answer?.status ? '' : await readFile(join(folder, path)));
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
      const part = range ? Buffer.from(body).subarray(Number(range[1]), Number(range[2]) + 1) : body;
      response.writeHead(answer?.status ?? (range ? 206 : 200), {
        'content-type': answer?.type ?? TYPES[extname(path)] ?? 'application/octet-stream',
        'cache-control': 'no-cache',
        ...(range ? { 'content-range': `bytes ${range[1]}-${range[2]}/${Buffer.from(body).length}` } : {}),
        ...headers,
      });
      response.end(part);
    } catch {
      // As on static hosts.
      const page = await readFile(join(folder, '404.html')).catch(() => 'not found');
      response.writeHead(404, { 'content-type': 'text/html', ...headers }).end(page);
    }
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  site.url = `http://127.0.0.1:${server.address().port}/`;
  site.stop = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return site;
}
