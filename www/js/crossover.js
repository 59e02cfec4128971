// The page API of Crossover, and the only client of its worker.
//
// Messages are the JSON of `crates/protocol`. This module forwards and numbers them and manages the worker: it picks
// the module that this browser can run, starts it, notices when it crashes or falls silent, ends jobs that cannot be
// cancelled by a message, and starts the next worker. The worker holds no state of value: the last report is the
// complete state. Races of one browser take turns: every page and frame of this origin holds a common lock while it
// races.

import { define } from '{{assets}}/js/element.js';

const PROTOCOL = 1;

/** Time for the worker to end a race by itself before it is terminated, in milliseconds. */
const SOFT_CANCEL_MS = 120;

/** Time for a worker to load and look for a GPU, in milliseconds. */
const READY_MS = 30_000;

/**
 * Silence during a job after which a worker counts as hung, in milliseconds: one kernel at a long sequence may take
 * this long.
 */
const SILENCE_MS = 60_000;

/** Largest golden file that the worker reads, in bytes. A larger one is refused without copying it. */
const MAX_GOLDEN_BYTES = 64 * 1024 * 1024;

/** Most threads requested. */
const MAX_THREADS = 32;

/** An error with a stable code, and the wrong configuration field if there is one. */
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

// The smallest modules that use one instruction of each proposal. They are valid only where the browser supports it.
const module = (...body) => new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, ...body]);
const SIMD128 = module(10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);
const RELAXED_SIMD = module(15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11);

/** The worker modules that this browser can run, best first. */
export function variants() {
  const simd = WebAssembly.validate(SIMD128);
  const relaxed = simd && WebAssembly.validate(RELAXED_SIMD);
  // Threads are workers, which can be started from the files' origin only.
  const threads = globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function' && files.origin === globalThis.origin;
  return [
    threads && relaxed && 'threads-relaxed-simd',
    threads && simd && 'threads-simd128',
    relaxed && 'relaxed-simd',
    simd && 'simd128',
    'plain',
  ].filter(Boolean);
}

// Not written as `new URL(…, import.meta.url)`, since bundlers would move that file. Classic scripts have no such
// address.
const here = import.meta.url ?? globalThis.document?.baseURI ?? 'about:blank';
let files = new URL('./', here);

/**
 * Sets the folder of this module's files, where it is not the module's own: bundlers move the module, but not the
 * files. `base` is the folder's address, relative to the page.
 */
export function configure({ base } = {}) {
  if (base === undefined) return;
  files = new URL(String(base).replace(/\/?$/, '/'), globalThis.document?.baseURI ?? globalThis.location?.href ?? here);
  manifestPromise = undefined;
}

let manifestPromise;

/**
 * The build's list of files, with paths relative to this module: `boot` (worker-boot.js under its hashed name) and
 * `workers`, the wasm-bindgen module of each variant, e.g. `{"boot": "worker-boot-1a2b.js", "workers": {"simd128":
 * "w/simd128-3c4d/worker.js"}}`.
 */
function manifest() {
  if (!manifestPromise) {
    const asked = list('manifest.json');
    manifestPromise = asked;
    // A failure is not cached: the next worker tries again.
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

/** Whether the server has a newer build than the one from which this page was loaded. */
async function outdated() {
  try {
    // The query prevents any cache, including the service worker's, from answering.
    const [old, now] = await Promise.all([manifest(), list(`manifest.json?at=${Date.now()}`)]);
    return JSON.stringify(old) !== JSON.stringify(now);
  } catch {
    return false;
  }
}

/**
 * Starts a worker. Where its script has another origin, as for all scripts in a sandboxed frame, a script of this page
 * imports it. That script is a classic one, because Chromium starts no module from a blob there.
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

/** Name of the lock held during a race. */
const TURN = 'crossover-race';

/**
 * Requests turns elsewhere where there are no locks. `ask` returns a promise of the turn and takes a signal that ends
 * it. The embed page asks its host.
 * @type {((signal: AbortSignal) => Promise<void>) | undefined}
 */
let askForTurn;

/** A place in the queue of this browser's races, held while a race runs in view. */
class Turn {
  #stop;

  /** Waits until no other race runs; calls `wait` unless the turn comes immediately. Returns whether the turn came. */
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
    // Old browsers have no locks, and frames of other sites may be refused them.
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
 * Owns the worker. One per page, since two racing workers would disturb each other's timing.
 *
 * Each start and each end of a worker begins a generation. Pending callbacks, for example of the manifest or a timer,
 * belong to the generation in which they began and do nothing in a later one.
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
  /** Called with every report of a race, regardless of its caller. */
  onRace = () => {};

  constructor() {
    // A worker that uses the API has no document and is never hidden.
    const page = globalThis.document;
    page?.addEventListener('visibilitychange', () => this.#visibility());
    globalThis.window?.addEventListener('pagehide', () => this.#visibility());
    page?.addEventListener('freeze', () => this.#rest());
    page?.addEventListener('resume', () => this.#visibility());
    this.#spawn();
  }

  /**
   * Calls `listener(event)` for every event that belongs to no job, and immediately with the last `ready`, if there is
   * one.
   */
  subscribe(listener) {
    this.#listeners.add(listener);
    if (this.#ready) listener(this.#ready);
    else if (this.#failure) listener(this.#failure);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Queues a job. `onEvent` receives its events, the last of which is `done`, `verified`, `link`, `linked` or `error`.
   */
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

  /** Ends the worker and starts a new one, which runs the queued jobs. A running job ends with an error. */
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

  /** Sets whether the element that shows the race is in view. A race out of view pauses, as in a hidden tab. */
  setOnScreen(onScreen) {
    if (this.#onScreen === onScreen) return;
    this.#onScreen = onScreen;
    this.#visibility();
  }

  /** Forwards a message unchanged, for tests. */
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

  /**
   * Opens the channel through which the worker's threads report faults. The worker itself cannot, because it blocks
   * while it waits for them.
   */
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
    // An event of an earlier job, from a worker that learnt late that the job is over. Nothing waits for it.
  }

  async #next() {
    if (this.#current || !this.#ready || this.#queue.length === 0) return;
    const job = this.#queue.shift();
    this.#current = job;
    // A race out of view pauses; it asks for its turn when it is in view.
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
    // A paused race is expected to be silent.
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
    // The first reason counts: later variants may only be missing from this build.
    this.#reason ??= `${variant}: ${reason}`;
    if (this.#variants.length > 1) {
      this.#variants.shift();
      this.#spawn();
      return;
    }
    this.#variants = variants();
    const gone = await outdated();
    // After a restart, only the new worker's events count.
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

  /**
   * Reports systems whose code could not be loaded because a newer build is online, so that another attempt would fail
   * too.
   */
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
    // A closed channel delivers no more messages.
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
    // Races in view may run meanwhile. A race that still waits for its turn keeps its place.
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

/** Progress of a race that has not begun because another race of this browser runs. */
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

/** Runs a job that needs no browser in this program. */
async function outside(request) {
  let event;
  try {
    const { run } = await import('{{assets}}/js/outside.js');
    const { workers } = await manifest();
    // Variants without threads, since threads need workers.
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
 * Low-level client for user interfaces: takes JSON text of `protocol::Request` and delivers JSON text of
 * `protocol::Event`. The caller chooses the ids.
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

/** Races `config` and resolves with its report. See `crossover.d.ts`. */
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
  // The build has written the list into a file.
  if (!hasWorkers()) return list('systems.json').catch((error) => { throw lost(error); });
  return (await ready()).systems;
}

/** This machine's facts from the worker. */
export async function environment() {
  return (await ready()).environment;
}

/** Name of the running worker module, once it runs. */
export async function variant() {
  await ready();
  return theEngine().variant;
}

/** A link that contains the whole report. */
export async function encodeLink(report) {
  const { fragment } = await job({ type: 'encodeLink', report });
  return new URL(fragment, files).href;
}

/** The content of a link: `{config}` or `{config, report}`. */
export async function decodeLink(url) {
  const { config, report } = await job({ type: 'decodeLink', url: String(url) });
  return report ? { config, report } : { config };
}

/** Makes the worker lose its GPU device, for tests only. */
export function loseDevice() {
  theEngine().post({ type: 'loseDevice' });
}

/** For code that shows a race on a part of a page: whether that part is in view. A race out of view pauses. */
export function setOnScreen(onScreen) {
  theEngine().setOnScreen(Boolean(onScreen));
}

/**
 * For code that stores races: calls `listener` with every report of a race as `{race, report, over}`, where `report` is
 * closed as if the race had been stopped there.
 */
export function watchRaces(listener) {
  theEngine().onRace = listener;
}

/** For code that shows a race in a frame: requests a turn where the browser has no locks for it. */
export function setTurns(ask) {
  askForTurn = ask;
}

/** Version of the messages that this client speaks. */
export const protocol = PROTOCOL;

define(() => files, CrossoverError);
