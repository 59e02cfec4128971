// One isolated origin for all contenders: the built site at the root, the peers' packages under /npm/, the benchmarks'
// pages under /bench/, and a store under /outputs/ through which pages compare their outputs.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import sirv from 'sirv';

const folder = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Isolation is required for shared memory, the fine clock and the peers' threads. */
const HEADERS = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cache-control': 'no-cache',
};

/** @returns {Promise<{url: string, put: (name: string, bytes: Uint8Array) => void, stop: () => Promise<void>}>} */
export async function serve() {
  // Files are looked up on request, since the packages have thousands.
  const files = (path) => sirv(folder(path), { dev: true });
  const mounts = { '/npm': files('./node_modules'), '/bench': files('./page') };
  const site = files('../../dist');
  const outputs = new Map();

  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const missing = () => {
      response.statusCode = 404;
      response.end();
    };
    if (request.url.startsWith('/outputs/')) {
      answer(outputs, request, response, missing);
      return;
    }
    for (const [prefix, handler] of Object.entries(mounts)) {
      if (request.url.startsWith(`${prefix}/`)) {
        request.url = request.url.slice(prefix.length);
        handler(request, response, missing);
        return;
      }
    }
    site(request, response, missing);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    put: (name, bytes) => outputs.set(`/outputs/${name}`, bytes),
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function answer(outputs, request, response, missing) {
  if (request.method === 'PUT') {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      outputs.set(request.url, Buffer.concat(parts));
      response.statusCode = 204;
      response.end();
    });
    return;
  }
  const bytes = outputs.get(request.url);
  if (bytes) response.end(bytes);
  else missing();
}
