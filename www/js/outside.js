// Functions of the API outside of browsers, in Node.js: links and the list of systems. The engine's module runs in the
// program's own thread, since there are no Web Workers. Nothing is timed here.
//
// @ts-check

/** @param {URL} address @returns {Promise<Uint8Array>} */
async function bytes(address) {
  if (address.protocol === 'file:') {
    // A variable, so that bundlers do not look for this module in projects for browsers.
    const name = 'node:fs/promises';
    const files = await import(/* webpackIgnore: true */ /* @vite-ignore */ name);
    return files.readFile(address);
  }
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @param {URL} address @returns {Promise<any>} */
export const json = async (address) => JSON.parse(new TextDecoder().decode(await bytes(address)));

/** Engines by the address of their module. @type {Map<string, Promise<any>>} */
const engines = new Map();
/** Jobs under way. @type {Map<number, (event: any) => void>} */
const jobs = new Map();
let nextId = 1;

/** @param {URL} address of the wasm-bindgen module @param {string} variant */
function engine(address, variant) {
  let loading = engines.get(address.href);
  if (!loading) {
    loading = load(address, variant);
    engines.set(address.href, loading);
    loading.catch(() => engines.delete(address.href));
  }
  return loading;
}

/** @param {URL} address @param {string} variant */
async function load(address, variant) {
  const module = await import(/* webpackIgnore: true */ /* @vite-ignore */ address.href);
  await module.default({ module_or_path: await bytes(new URL(address.href.replace(/\.js$/, '_bg.wasm'))) });
  await module.start(variant, 1, (/** @type {string} */ text) => {
    const event = JSON.parse(text);
    jobs.get(event.id)?.(event);
  });
  return module;
}

/**
 * Runs a job that needs no browser, and returns its last event.
 * @param {object} request
 * @param {URL} address of the wasm-bindgen module
 * @param {string} variant
 * @returns {Promise<any>}
 */
export async function run(request, address, variant) {
  const module = await engine(address, variant);
  const id = nextId;
  nextId += 1;
  return withFiles(() => new Promise((resolve) => {
    jobs.set(id, (event) => {
      jobs.delete(id);
      resolve(event);
    });
    module.receive(JSON.stringify({ ...request, id }));
  }));
}

let users = 0;
/** @type {typeof fetch} */
let network;

/**
 * Lets `fetch` read files during `work`: the module loads its second part with it, and Node.js's own `fetch` refuses
 * addresses of files.
 * @template T @param {() => Promise<T>} work @returns {Promise<T>}
 */
async function withFiles(work) {
  if (users === 0) {
    network = globalThis.fetch;
    globalThis.fetch = async (address, options) => {
      const url = new URL(String(/** @type {any} */ (address)?.url ?? address));
      if (url.protocol !== 'file:') return network(address, options);
      return new Response(/** @type {BodyInit} */ (await bytes(url)), { headers: { 'content-type': 'application/wasm' } });
    };
  }
  users += 1;
  try {
    return await work();
  } finally {
    users -= 1;
    if (users === 0) globalThis.fetch = network;
  }
}
