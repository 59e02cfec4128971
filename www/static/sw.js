// Stores the site for use without a network, and adds isolation headers on hosts that cannot send them. `isolation.js`
// and `offline.js` register it; the build fills in the list of files.
//
// A build's files are one cache. A new build is fetched completely beside the old one, and waits until no page of the
// old one is open or a reader requests the update. Files of the preceding build are kept for pages that still run it.

const BUILD = '{{build}}';
const SHELL = {{shell}};
const WORKERS = {{workers}};

const PREFIX = 'crossover-';
const CACHE = PREFIX + BUILD;

/** Builds kept: this one, and the preceding one, which open pages may still run. */
const KEPT = 2;

/** Files fetched at the same time; few, so as not to slow down the page. */
const AT_ONCE = 4;

const scope = new URL('./', self.location);
const address = (path) => new URL(path, scope).href;
/** A page is cached under its folder's address. */
const HOME = address('./');

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));

async function install() {
  // At the first visit the page itself fetches these files and reports when it is done. Later, all files or none are
  // stored.
  if (self.registration.active) await fill([...SHELL, ...(await variantsKept()).flatMap((variant) => WORKERS[variant])]);
  else await self.skipWaiting();
}

async function activate() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(names.slice(0, Math.max(0, names.length - KEPT + 1)).map((name) => caches.delete(name)));
  await self.clients.claim();
}

/** Worker variants that earlier builds stored and this build has. */
async function variantsKept() {
  const kept = new Set();
  for (const name of await caches.keys()) {
    if (!name.startsWith(PREFIX)) continue;
    for (const { url } of await (await caches.open(name)).keys()) {
      for (const variant of Object.keys(WORKERS)) {
        if (url.startsWith(address(`worker/${variant}-`))) kept.add(variant);
      }
    }
  }
  return [...kept];
}

/** Fetches missing files. */
async function fill(paths) {
  const cache = await caches.open(CACHE);
  const queue = [...paths];
  const work = async () => {
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      const url = address(path);
      if (await cache.match(url, { ignoreVary: true })) continue;
      const response = await fetch(new Request(url, { cache: 'no-cache' }));
      if (!response.ok || response.redirected) throw new Error(`${path}: HTTP ${response.status}`);
      await cache.put(url, response);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

self.addEventListener('message', (event) => {
  const { data, source } = event;
  if (typeof data !== 'object' || data === null || !source) return;
  if (data.type === 'keep' && typeof data.variant === 'string' && Object.hasOwn(WORKERS, data.variant)) {
    // Without a network, the next visit tries again.
    event.waitUntil(fill([...SHELL, ...WORKERS[data.variant]]).catch(() => {}));
  } else if (data.type === 'skip') {
    event.waitUntil(self.skipWaiting());
  }
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  // Responses of other origins are opaque or not the site's concern. Range requests must be answered as requested. A
  // request with `only-if-cached` cannot be repeated from here.
  if (request.method !== 'GET' || new URL(request.url).origin !== self.location.origin || request.headers.has('range')) return;
  if (request.cache === 'only-if-cached' && request.mode !== 'same-origin') return;
  event.respondWith(answer(request));
});

async function answer(request) {
  return isolated((await kept(request)) ?? (await fetch(request)));
}

async function kept(request) {
  const url = new URL(request.url);
  const page = request.mode === 'navigate' && (url.pathname === scope.pathname || url.pathname === `${scope.pathname}index.html`);
  // A query in an address asks for the server's current version.
  if (url.search && !page) return undefined;
  url.hash = '';
  const name = page ? HOME : url.href;
  const cache = await caches.open(CACHE);
  const found = await cache.match(name, { ignoreVary: true });
  if (found || page) return found;
  // Files with a hash in their address are equal in every build.
  const hashed = /^(assets|page|worker)\//.test(url.pathname.slice(scope.pathname.length));
  return hashed ? caches.match(name, { ignoreVary: true }) : undefined;
}

function isolated(response) {
  if (response.type === 'error' || response.type === 'opaque' || response.type === 'opaqueredirect') return response;
  const headers = new Headers(response.headers);
  headers.set('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-embedder-policy', 'require-corp');
  headers.set('cross-origin-resource-policy', 'cross-origin');
  const empty = response.status === 204 || response.status === 205 || response.status === 304;
  return new Response(empty ? null : response.body, { status: response.status, statusText: response.statusText, headers });
}
