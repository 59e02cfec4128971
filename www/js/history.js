// Past runs in IndexedDB. The list and the reports are stored separately, so that a long list opens quickly. Loaded on
// demand. Errors keep the browser's names (SecurityError, QuotaExceededError, VersionError…). The page validates stored
// values.

const NAME = 'crossover';
/** Incremented with every change of the stores. A page with an older one gets a VersionError. */
const VERSION = 1;
const LIST = 'runs';
const REPORTS = 'reports';
/** Time for which another tab may block the opening of the database, in milliseconds. */
const PATIENCE_MS = 5000;

let opening = null;
const channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel('crossover-history') : null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    // Without storage, browsers lack the factory, throw, or return an error.
    const request = globalThis.indexedDB.open(NAME, VERSION);
    const patience = setTimeout(() => reject(new DOMException('another tab blocks the database', 'TimeoutError')), PATIENCE_MS);
    request.onupgradeneeded = () => {
      const database = request.result;
      if (!database.objectStoreNames.contains(LIST)) database.createObjectStore(LIST, { keyPath: 'id', autoIncrement: true });
      if (!database.objectStoreNames.contains(REPORTS)) database.createObjectStore(REPORTS);
    };
    request.onerror = () => {
      clearTimeout(patience);
      reject(request.error);
    };
    request.onsuccess = () => {
      clearTimeout(patience);
      const database = request.result;
      const forget = () => {
        database.close();
        opening = null;
      };
      // A newer page in another tab, or the user clearing the site's data.
      database.onversionchange = forget;
      database.onclose = forget;
      resolve(database);
    };
  }).catch((error) => {
    opening = null;
    throw error;
  });
  return opening;
}

/**
 * Runs `work` on both stores. Resolves with its result once everything is written; nothing is written after an error.
 */
async function transact(mode, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction([LIST, REPORTS], mode);
    let request;
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = () => reject(transaction.error ?? request?.error ?? new DOMException('the transaction was aborted', 'AbortError'));
    request = work(transaction.objectStore(LIST), transaction.objectStore(REPORTS));
  });
}

const changed = () => channel?.postMessage('changed');

/** The list as JSON text. */
export const list = async () => JSON.stringify(await transact('readonly', (runs) => runs.getAll()));

/** Stores a run and returns its number. */
export async function add(name, savedAtMs, summary, report) {
  const id = await transact('readwrite', (runs, reports) => {
    const request = runs.add({ name, savedAtMs, summary });
    request.onsuccess = () => reports.put(report, request.result);
    return request;
  });
  changed();
  return id;
}

/** Stores a run like `add`, replacing the run `id` if it exists. */
export async function keep(id, name, savedAtMs, summary, report) {
  if (id === undefined) return add(name, savedAtMs, summary, report);
  await transact('readwrite', (runs, reports) => {
    reports.put(report, id);
    return runs.put({ id, name, savedAtMs, summary });
  });
  changed();
  return id;
}

/** The report of a run as JSON text; undefined where there is none, null where it is not text. */
export async function report(id) {
  const text = await transact('readonly', (_, reports) => reports.get(id));
  return text === undefined || typeof text === 'string' ? text : null;
}

export async function rename(id, name) {
  await transact('readwrite', (runs) => {
    const request = runs.get(id);
    request.onsuccess = () => {
      if (request.result) runs.put({ ...request.result, name });
    };
    return request;
  });
  changed();
}

export async function remove(id) {
  await transact('readwrite', (runs, reports) => {
    reports.delete(id);
    return runs.delete(id);
  });
  changed();
}

export async function clear() {
  await transact('readwrite', (runs, reports) => {
    reports.clear();
    return runs.clear();
  });
  changed();
}

/** Calls `listener` when another tab has changed something. */
export function watch(listener) {
  channel?.addEventListener('message', () => listener());
}
