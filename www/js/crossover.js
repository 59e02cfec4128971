// The page API of Crossover, and the one client of its worker.
//
// Messages are the JSON of `crates/protocol`; this module moves them, numbers them, and looks after the worker: it picks
// the module that this browser can run, starts it, notices when it dies or falls silent, ends what can't be cancelled
// softly, and starts the next one. Nothing of value lives in the worker: the last report snapshot is the state. Races of
// one browser take turns: every page and frame of this origin that races holds the same lock meanwhile.

import { define } from '{{assets}}/js/element.js';

const PROTOCOL = 1;

/** How long the worker may take to end a race by itself before it is ended from here, in milliseconds. */
const SOFT_CANCEL_MS = 120;

/** How long a worker may take to load and look for a GPU. */
const READY_MS = 30_000;

/** Silence during a job beyond which a worker counts as hung: one kernel at a long sequence may well take this long. */
const SILENCE_MS = 60_000;

/** Largest golden file that the worker reads; a larger one need not be copied to be refused. */
const MAX_GOLDEN_BYTES = 64 * 1024 * 1024;

/** Most threads that are asked for. */
const MAX_THREADS = 32;

/** A failure with a stable code, and the configuration field at fault where it is one. */
export class CrossoverError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {object} [more] `field`, `report` and `args`, where there are any
   */
  constructor(code, message, { field, report, args } = {}) {
    super(message);
    this.name = 'CrossoverError';
    this.code = code;
    this.field = field;
    this.report = report;
    this.args = args ?? {};
  }
}

// Smallest modules that use one instruction of each proposal: valid only where the browser has it.
const module = (...body) => new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, ...body]);
const SIMD128 = module(10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);
const RELAXED_SIMD = module(15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11);

/** The worker modules that this browser can run, best first. */
export function variants() {
  const simd = WebAssembly.validate(SIMD128);
  const relaxed = simd && WebAssembly.validate(RELAXED_SIMD);
  // Threads are workers of their own, which start from the files' origin only.
  const threads = globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function' && files.origin === globalThis.origin;
  return [
    threads && relaxed && 'threads-relaxed-simd',
    threads && simd && 'threads-simd128',
    relaxed && 'relaxed-simd',
    simd && 'simd128',
    'plain',
  ].filter(Boolean);
}

// Not written as `new URL(…, import.meta.url)`, which bundlers take for a file to move; scripts that are no modules
// have no such address.
const here = import.meta.url ?? globalThis.document?.baseURI ?? 'about:blank';
let files = new URL('./', here);

/**
 * Where this module's files are, if not beside it: bundlers move the module, not the files. `base` is a folder's
 * address, relative to the page.
 */
export function configure({ base } = {}) {
  if (base === undefined) return;
  files = new URL(String(base).replace(/\/?$/, '/'), globalThis.document?.baseURI ?? globalThis.location?.href ?? here);
  manifestPromise = undefined;
}

let manifestPromise;

/**
 * What the build wrote, paths relative to this module: `boot` (worker-boot.js under its hashed name) and `workers`, the
 * wasm-bindgen module of each variant, e.g. `{"boot": "worker-boot-1a2b.js", "workers": {"simd128": "w/simd128-3c4d/worker.js"}}`.
 */
function manifest() {
  if (!manifestPromise) {
    const asked = list('manifest.json');
    manifestPromise = asked;
    // A failure is not kept: the next worker asks again.
    asked.catch(() => { if (manifestPromise === asked) manifestPromise = undefined; });
  }
  return manifestPromise;
}

async function list(name) {
  if (!hasWorkers() && files.protocol === 'file:') {
    const { json } = await import('{{assets}}/js/outside.js');
    return json(new URL(name, files));
  }
  const response = await fetch(new URL(name, files));
  if (!response.ok) throw new Error(`${name}: HTTP ${response.status}`);
  return response.json();
}

/** Whether the server has another build by now than the one this page was loaded from. */
async function outdated() {
  try {
    // With a query, so that no cache answers, the service worker's included.
    const [old, now] = await Promise.all([manifest(), list(`manifest.json?at=${Date.now()}`)]);
    return JSON.stringify(old) !== JSON.stringify(now);
  } catch {
    return false;
  }
}

/**
 * A worker. One whose script is of another origin, as everything is to a sandboxed frame, is started by a script of this
 * page's. A classic one: Chromium starts no module from a blob there.
 */
function startWorker(address, name) {
  if (address.origin === globalThis.origin) return new Worker(address, { type: 'module', name });
  const script = `const early = [];
    self.onmessage = (event) => early.push(event);
    import(${JSON.stringify(address.href)}).then(
      () => early.forEach((event) => self.onmessage(event)),
      (error) => self.postMessage({ type: 'crashed', message: String(error) }),
    );`;
  const blob = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const worker = new Worker(blob, { name });
  setTimeout(() => URL.revokeObjectURL(blob), READY_MS);
  return worker;
}

const isJob = (type) => type === 'race' || type === 'verify' || type === 'encodeLink' || type === 'decodeLink';
const ends = (type) => type === 'done' || type === 'verified' || type === 'error' || type === 'link' || type === 'linked';

/** Name of the lock that a race holds. */
const TURN = 'crossover-race';

/**
 * Asks somebody else for turns where there are no locks: `ask` answers with a promise of the turn and takes a signal that
 * ends it. The embed page asks its host.
 * @type {((signal: AbortSignal) => Promise<void>) | undefined}
 */
let askForTurn;

/** A place in the queue of this browser's races, taken while one runs in view. */
class Turn {
  #stop;

  /** Waits until no other race runs; calls `wait` where that isn't at once. Answers whether the turn came. */
  async take(wait) {
    this.leave();
    const stop = new AbortController();
    this.#stop = stop;
    const { signal } = stop;
    const ended = new Promise((resolve) => { signal.addEventListener('abort', resolve, { once: true }); });
    const ask = (options) => new Promise((resolve) => {
      navigator.locks.request(TURN, options, (lock) => {
        resolve(lock ? 'mine' : 'taken');
        return lock && ended;
      }).catch(() => resolve('refused'));
    });
    // Old browsers have no locks; frames of other sites may be refused them.
    let answer = globalThis.navigator?.locks ? await ask({ ifAvailable: true }) : 'refused';
    if (answer === 'taken' && !signal.aborted) {
      wait();
      answer = await ask({ signal });
    }
    if (answer === 'refused' && askForTurn && !signal.aborted) {
      const soon = setTimeout(wait, 50);
      await Promise.race([askForTurn(signal), ended]);
      clearTimeout(soon);
    }
    return !signal.aborted;
  }

  leave() {
    this.#stop?.abort();
    this.#stop = undefined;
  }
}

/**
 * Owns the worker. One per page: two that race at once would disturb each other's timing.
 *
 * Each start and each end of a worker begins a generation. Whatever waits, for the manifest or for a timer, belongs to
 * the generation that it began in, and does nothing in a later one.
 */
class Engine {
  #generation = 0;
  #worker;
  #faults;
  #ready;
  #variants = variants();
  #queue = [];
  #current;
  #nextId = 1;
  #listeners = new Set();
  #loadTimer;
  #silenceTimer;
  #failure;
  #reason;
  #turn = new Turn();
  #onScreen = true;
  /** Called with every report of a race, whoever started it. */
  onRace = () => {};

  constructor() {
    // A worker that uses the API has no document, and is never hidden.
    const page = globalThis.document;
    page?.addEventListener('visibilitychange', () => this.#visibility());
    globalThis.window?.addEventListener('pagehide', () => this.#visibility());
    page?.addEventListener('freeze', () => this.#rest());
    page?.addEventListener('resume', () => this.#visibility());
    this.#spawn();
  }

  /** Calls `listener(event)` for every event that belongs to no job; at once with the last `ready`, if there is one. */
  subscribe(listener) {
    this.#listeners.add(listener);
    if (this.#ready) listener(this.#ready);
    else if (this.#failure) listener(this.#failure);
    return () => this.#listeners.delete(listener);
  }

  /** Queues a job; `onEvent` gets its events, the last of which is `done`, `verified`, `link`, `linked` or `error`. */
  submit(request, onEvent, bytes) {
    const job = { id: this.#nextId++, request, onEvent, bytes, report: undefined, cancelTimer: undefined };
    if (this.#failure && !this.#worker) {
      queueMicrotask(() => onEvent({ ...this.#failure, id: job.id }));
      return job.id;
    }
    this.#queue.push(job);
    this.#next();
    return job.id;
  }

  cancel(id) {
    const waiting = this.#queue.findIndex((job) => job.id === id);
    if (waiting >= 0) {
      const [job] = this.#queue.splice(waiting, 1);
      job.onEvent(errorEvent(id, 'cancelled', 'Cancelled before it started.'));
    } else if (this.#current?.id === id && !this.#current.sent) {
      this.#take().onEvent(errorEvent(id, 'cancelled', 'Cancelled before it started.'));
      this.#next();
    } else if (this.#current?.id === id && this.#current.cancelTimer === undefined) {
      this.#post({ type: 'cancel', id });
      this.#current.cancelTimer = setTimeout(() => {
        const job = this.#take();
        if (job.report && job.request.type === 'race') this.#tellRace(job, true);
        job.onEvent(job.report ? { type: 'done', id, report: cancelled(job.report) } : errorEvent(id, 'cancelled', 'Cancelled before anything was measured.'));
        this.restart();
      }, SOFT_CANCEL_MS);
    }
  }

  /** Ends the worker and starts a new one. Queued jobs go on in it; a running one ends with an error. */
  restart() {
    this.#end();
    this.#failCurrent('worker-restarted', 'The engine was restarted.');
    this.#failure = undefined;
    this.#reason = undefined;
    this.#spawn();
  }

  /** Name of the worker module in use. */
  get variant() {
    return this.#variants[0];
  }

  /** Whether what shows the race is in view; one that nobody sees rests, as in a hidden tab. */
  setOnScreen(onScreen) {
    if (this.#onScreen === onScreen) return;
    this.#onScreen = onScreen;
    this.#visibility();
  }

  /** Passes a message on as it is; for tests of what happens next. */
  post(request) {
    this.#post(request);
  }

  async #spawn() {
    this.#end();
    const generation = this.#generation;
    const variant = this.#variants[0];
    let worker;
    try {
      const { boot, workers } = await manifest();
      if (generation !== this.#generation) return;
      const path = workers?.[variant];
      if (!path) throw new Error(`this build has no ${variant} module`);
      worker = startWorker(new URL(boot, files), `crossover ${variant}`);
      const threads = variant.startsWith('threads') ? Math.max(1, Math.min(navigator.hardwareConcurrency || 1, MAX_THREADS)) : 1;
      if (threads > 1) this.#hearThreads();
      worker.postMessage({ module: new URL(path, files).href, variant, threads, faults: this.#faults?.name });
    } catch (error) {
      worker?.terminate();
      if (generation === this.#generation) this.#loadFailed(variant, String(error?.message ?? error));
      return;
    }
    this.#worker = worker;
    worker.onmessage = ({ data }) => worker === this.#worker && this.#receive(data);
    worker.onmessageerror = () => worker === this.#worker && this.#crashed({ message: 'it sent something unreadable' });
    worker.onerror = (event) => {
      event.preventDefault?.();
      if (worker !== this.#worker) return;
      if (this.#ready) this.#crashed({ message: event.message || 'it stopped without a word' });
      else this.#loadFailed(variant, event.message || 'the worker script could not be loaded');
    };
    this.#loadTimer = setTimeout(() => this.#loadFailed(variant, `no answer within ${READY_MS / 1000} seconds`), READY_MS);
    this.#visibility();
  }

  /** Opens the channel by which the worker's threads tell of faults: the worker itself waits for them and hears nothing. */
  #hearThreads() {
    this.#faults = new BroadcastChannel(`crossover-faults-${crypto.randomUUID()}`);
    this.#faults.onmessage = ({ data }) => this.#receive(data);
  }

  #receive(data) {
    let event;
    try {
      event = typeof data === 'string' ? JSON.parse(data) : data;
    } catch {
      return;
    }
    if (typeof event?.type !== 'string') return;
    if (event.type === 'crashed') {
      if (this.#ready) this.#crashed(event);
      else this.#loadFailed(this.#variants[0], event.message);
      return;
    }
    this.#watchSilence();
    if (event.type === 'ready') {
      clearTimeout(this.#loadTimer);
      this.#ready = event;
      this.#failure = undefined;
      this.#reason = undefined;
      this.#broadcast(event);
      this.#next();
      return;
    }
    const job = this.#current;
    if (event.id == null) {
      this.#broadcast(event);
    } else if (job && event.id === job.id) {
      if (event.report) job.report = event.report;
      if (event.report && job.request.type === 'race') this.#tellRace(job, ends(event.type));
      if (ends(event.type)) {
        this.#take();
        job.onEvent(event);
        this.#next();
        this.#tellGone(event.report);
      } else {
        job.onEvent(event);
      }
    }
    // An event of an earlier job: its worker was slow to hear that it is over. Nobody waits for it.
  }

  async #next() {
    if (this.#current || !this.#ready || this.#queue.length === 0) return;
    const job = this.#queue.shift();
    this.#current = job;
    // A race out of view rests; its turn comes when it is seen.
    if (job.request.type === 'race' && !this.#away()) {
      await this.#turn.take(() => job.onEvent(waiting(job.id)));
      if (this.#current !== job) return;
      if (this.#away()) this.#turn.leave();
    }
    job.sent = true;
    this.#watchSilence();
    this.#post({ ...job.request, id: job.id }, job.bytes);
  }

  #take() {
    const job = this.#current;
    this.#current = undefined;
    this.#turn.leave();
    clearTimeout(job?.cancelTimer);
    clearTimeout(this.#silenceTimer);
    return job;
  }

  #watchSilence() {
    clearTimeout(this.#silenceTimer);
    // A resting race is silent by right.
    if (!this.#current?.sent || this.#away()) return;
    const budget = Number(this.#current.request.config?.budgetMs) || 0;
    this.#silenceTimer = setTimeout(() => {
      this.#end();
      this.#failCurrent('worker-silent', 'The engine stopped answering. What was measured is kept; start again, perhaps with shorter sequences.');
      this.#spawn();
    }, Math.max(SILENCE_MS, budget));
  }

  #crashed({ message, reason = message }) {
    const args = { reason };
    this.#end();
    this.#failCurrent('worker-crashed', `The engine stopped: ${message}. What was measured is kept; you can start a new race.`, args);
    this.#broadcast(errorEvent(undefined, 'worker-crashed', `The engine stopped: ${message}. A new one was started.`, args));
    this.#spawn();
  }

  async #loadFailed(variant, reason) {
    this.#end();
    const generation = this.#generation;
    // The first reason is the one that counts: what comes after may only be missing from this build.
    this.#reason ??= `${variant}: ${reason}`;
    if (this.#variants.length > 1) {
      this.#variants.shift();
      this.#spawn();
      return;
    }
    this.#variants = variants();
    const gone = await outdated();
    // Restarted meanwhile: the new worker speaks for itself.
    if (generation !== this.#generation) return;
    const message = gone
      ? 'A newer version of Crossover was put online since this page was opened, and the old files are gone. Reload the page to get it.'
      : `The engine could not be loaded (${this.#reason}). Check the connection and reload the page.`;
    const args = { why: gone ? { code: 'load-outdated' } : { code: 'load-failed', args: { reason: this.#reason } } };
    this.#failure = errorEvent(undefined, 'worker-load-failed', message, args);
    this.#broadcast(this.#failure);
    for (const job of this.#queue.splice(0)) job.onEvent({ ...this.#failure, id: job.id });
    this.#failCurrent('worker-load-failed', message, args);
  }

  #failCurrent(code, message, args) {
    const job = this.#take();
    if (!job) return;
    if (job.report && job.request.type === 'race') this.#tellRace(job, true);
    job.onEvent({ ...errorEvent(job.id, code, message, args), report: job.report && cancelled(job.report) });
  }

  /** Tells of systems whose code could not be loaded because a newer build is online: trying again would not help. */
  async #tellGone(report) {
    const lacks = (lane) => lane.points.some((point) => point.reason?.code === 'not-loaded');
    const systems = report?.lanes.filter(lacks).map((lane) => lane.title).join(', ');
    if (!systems || !(await outdated())) return;
    this.#broadcast(errorEvent(undefined, 'build-gone', `A newer version of Crossover was put online since this page was opened; the code of ${systems} cannot be loaded any more. Reload the page to get the new version.`, { systems }));
  }

  #tellRace({ id, report }, over) {
    this.onRace({ race: id, report: report.status === 'running' ? cancelled(report) : report, over });
  }

  #end() {
    this.#generation += 1;
    clearTimeout(this.#loadTimer);
    clearTimeout(this.#silenceTimer);
    // A closed channel delivers nothing more.
    this.#faults?.close();
    this.#faults = undefined;
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#ready = undefined;
  }

  #away() {
    return globalThis.document?.visibilityState === 'hidden' || !this.#onScreen;
  }

  #rest() {
    this.#post({ type: 'visibility', hidden: true });
    clearTimeout(this.#silenceTimer);
    // Whoever is seen may race meanwhile. A race that waits for its turn keeps its place.
    if (this.#current?.sent) this.#turn.leave();
  }

  async #visibility() {
    if (this.#away()) {
      this.#rest();
      return;
    }
    const job = this.#current;
    if (job?.sent && job.request.type === 'race') {
      const taken = await this.#turn.take(() => job.onEvent(waiting(job.id)));
      if (!taken || this.#current !== job) return;
    }
    this.#post({ type: 'visibility', hidden: false });
    this.#watchSilence();
  }

  #post(request, bytes) {
    const json = JSON.stringify(request);
    if (bytes) this.#worker?.postMessage({ json, bytes }, [bytes.buffer]);
    else this.#worker?.postMessage({ json });
  }

  #broadcast(event) {
    for (const listener of this.#listeners) listener(event);
  }
}

/** Progress of a race that has not begun: another one of this browser is at work. */
const waiting = (id) => ({ type: 'progress', id, fraction: 0, remainingMs: 0, lane: 0, length: 0, activity: 'waiting' });

const errorEvent = (id, code, message, args) => ({ type: 'error', id, error: { code, message, args } });

const cancelled = (report) => ({
  ...report,
  status: 'cancelled',
  warnings: [...report.warnings, { code: 'cancelled', message: 'The race was stopped before its end.', lane: null }],
});

/** Whether there are Web Workers: Node.js and service workers have none. */
const hasWorkers = () => typeof Worker === 'function';

let engine;
function theEngine() {
  if (!hasWorkers()) {
    throw new CrossoverError('no-browser', 'Races need a browser or a Web Worker in one. On a command line, use the crossover program: cargo run --release -p cli -- race.');
  }
  return (engine ??= new Engine());
}

const lost = (error) =>
  new CrossoverError('worker-load-failed', `The engine could not be loaded (${error?.message ?? error}). Check where configure() says that the files are.`, {
    args: { why: { code: 'load-failed', args: { reason: String(error?.message ?? error) } } },
  });

/** Runs a job that needs no browser in this program itself. */
async function outside(request) {
  let event;
  try {
    const { run } = await import('{{assets}}/js/outside.js');
    const { workers } = await manifest();
    // Without threads, which would need workers.
    const own = variants().find((variant) => workers[variant] && !variant.startsWith('threads'));
    if (!own) throw new Error('this build has no module without threads');
    event = await run(request, new URL(workers[own], files), own);
  } catch (error) {
    throw lost(error);
  }
  if (event.type === 'error') throw new CrossoverError(event.error.code, event.error.message, { field: event.error.field, args: event.error.args });
  return event;
}

/**
 * Low-level client for user interfaces: JSON text of `protocol::Request` in, JSON text of `protocol::Event` out. Ids are
 * the caller's own.
 * @param {(json: string) => void} onEvent
 */
export function connect(onEvent) {
  const ids = new Map();
  const deliver = (event) => onEvent(JSON.stringify(event));
  const unsubscribe = theEngine().subscribe(deliver);
  return {
    send(json, bytes) {
      const request = JSON.parse(json);
      if (!isJob(request.type)) {
        theEngine().post(request);
        return;
      }
      const own = request.id;
      ids.set(own, theEngine().submit(request, (event) => deliver({ ...event, id: own }), bytes));
    },
    cancel(id) {
      if (ids.has(id)) theEngine().cancel(ids.get(id));
    },
    restart() {
      theEngine().restart();
    },
    close: unsubscribe,
  };
}

/** Runs one job to its end. */
function job(request, { signal, onEvent, bytes } = {}) {
  if (!hasWorkers() && (request.type === 'encodeLink' || request.type === 'decodeLink')) return outside(request);
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    let last;
    const abort = () => theEngine().cancel(id);
    const id = theEngine().submit(request, (event) => {
      if (event.report) last = event.report;
      if (!ends(event.type)) {
        onEvent?.(event);
        return;
      }
      signal?.removeEventListener('abort', abort);
      if (signal?.aborted) {
        onEvent?.(event);
        const reason = signal.reason;
        if (last && typeof reason === 'object') reason.report = last;
        reject(reason);
      } else if (event.type === 'error') {
        reject(new CrossoverError(event.error.code, event.error.message, { field: event.error.field, args: event.error.args, report: event.report ?? last }));
      } else {
        onEvent?.(event);
        resolve(event);
      }
    }, bytes);
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** Races `config` and resolves to its report. See `crossover.d.ts`. */
export async function race(config = {}, { signal, onEvent } = {}) {
  let plain;
  try {
    plain = JSON.parse(JSON.stringify(config));
  } catch (error) {
    throw new CrossoverError('invalid-config', `The configuration is not plain data: ${error.message}`, { args: { reason: error.message } });
  }
  return (await job({ type: 'race', config: plain }, { signal, onEvent })).report;
}

/** Verifies the bytes of a golden file. */
export async function verify(bytes, { backend = 'auto', signal } = {}) {
  if (bytes?.byteLength > MAX_GOLDEN_BYTES) {
    throw new CrossoverError('golden-too-large', `the file has ${bytes.byteLength} bytes; at most ${MAX_GOLDEN_BYTES} are accepted`, { args: { got: { bytes: bytes.byteLength } } });
  }
  let copy;
  if (bytes instanceof ArrayBuffer) copy = new Uint8Array(bytes.slice(0));
  else if (ArrayBuffer.isView(bytes)) copy = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).slice();
  else throw new CrossoverError('invalid-bytes', 'verify takes an ArrayBuffer or a typed array with the bytes of a golden file.');
  return (await job({ type: 'verify', backend }, { signal, bytes: copy })).result;
}

function ready() {
  return new Promise((resolve, reject) => {
    const unsubscribe = theEngine().subscribe((event) => {
      if (event.type === 'ready') resolve(event);
      else if (event.type === 'error' && event.error.code === 'worker-load-failed') reject(new CrossoverError(event.error.code, event.error.message, { args: event.error.args }));
      else return;
      queueMicrotask(() => unsubscribe());
    });
  });
}

/** The systems that can race. */
export async function systems() {
  // The build wrote the same list into a file.
  if (!hasWorkers()) return list('systems.json').catch((error) => { throw lost(error); });
  return (await ready()).systems;
}

/** This machine as the worker sees it. */
export async function environment() {
  return (await ready()).environment;
}

/** Name of the worker module that runs, once it does. */
export async function variant() {
  await ready();
  return theEngine().variant;
}

/** A link that holds the whole report. */
export async function encodeLink(report) {
  const { fragment } = await job({ type: 'encodeLink', report });
  return new URL(fragment, files).href;
}

/** What a link holds: `{config}` or `{config, report}`. */
export async function decodeLink(url) {
  const { config, report } = await job({ type: 'decodeLink', url: String(url) });
  return report ? { config, report } : { config };
}

/** Tests only: makes the worker lose its GPU device. */
export function loseDevice() {
  theEngine().post({ type: 'loseDevice' });
}

/** For whoever shows a race on a part of a page: whether that part is in view. A race that nobody sees rests. */
export function setOnScreen(onScreen) {
  theEngine().setOnScreen(Boolean(onScreen));
}

/**
 * For whoever keeps races: calls `listener` with every report of a race as `{race, report, over}`, where `report` is closed
 * as if the race had been stopped there.
 */
export function watchRaces(listener) {
  theEngine().onRace = listener;
}

/** For whoever shows a race in a frame: whom to ask for a turn where the browser has no locks for it. */
export function setTurns(ask) {
  askForTurn = ask;
}

/** Version of the messages that this client speaks. */
export const protocol = PROTOCOL;

define(() => files, CrossoverError);
