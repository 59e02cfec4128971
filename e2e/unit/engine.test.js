// The life cycle of the engine's worker in `www/js/crossover.js`, with a fake browser: every order of answers and
// timers can be tested, which in a real browser depends on chance.

import { after, afterEach, beforeEach, mock, test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const SOURCE = fileURLToPath(new URL('../../www/js/crossover.js', import.meta.url));
const SITE = 'http://site.test/';
const MANIFEST = { boot: 'boot.js', workers: { 'relaxed-simd': 'r.js', simd128: 's.js', plain: 'p.js' } };

// The custom element belongs to documents; the client does without.
const folder = await mkdtemp(join(tmpdir(), 'crossover-engine-'));
after(() => rm(folder, { recursive: true }));
const copy = join(folder, 'crossover.mjs');
const source = await readFile(SOURCE, 'utf8');
const element = "import { define } from '{{assets}}/js/element.js';";
assert.ok(source.includes(element));
await writeFile(copy, source.replace(element, 'const define = () => {};'));

/** Workers that were started, oldest first. */
let workers;
/** Pending answers of `fetch`, oldest first: call one with a manifest or an error. */
let asked;
let copies = 0;

class FakeWorker {
  constructor(address) {
    this.address = String(address);
    this.ended = false;
    this.got = [];
    workers.push(this);
  }

  postMessage(data) {
    this.got.push(data);
  }

  terminate() {
    this.ended = true;
  }

  /** Sends an event like the worker's module. */
  say(event) {
    this.onmessage({ data: JSON.stringify(event) });
  }
}

const running = () => workers.filter((worker) => !worker.ended);

/** Runs everything that waits for promises only. */
async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

/** Answers the oldest request for the manifest. */
async function answer(manifest = MANIFEST) {
  const resolve = asked.shift();
  assert.ok(resolve, 'nothing was asked for');
  resolve({ ok: true, json: async () => manifest });
  await settle();
}

/** A new client of the engine, and the events that it reported. */
async function client() {
  copies += 1;
  const crossover = await import(`${pathToFileURL(copy).href}?${copies}`);
  crossover.configure({ base: SITE });
  const told = [];
  const connection = crossover.connect((json) => told.push(JSON.parse(json)));
  await settle();
  return { crossover, connection, told };
}

beforeEach(() => {
  workers = [];
  asked = [];
  mock.timers.enable({ apis: ['setTimeout'] });
  globalThis.origin = new URL(SITE).origin;
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible', baseURI: SITE });
  globalThis.window = new EventTarget();
  globalThis.Worker = FakeWorker;
  globalThis.fetch = () => new Promise((resolve) => { asked.push(resolve); });
});

afterEach(() => mock.timers.reset());

test('two restarts while the manifest loads start one worker', async () => {
  const { connection } = await client();
  connection.restart();
  connection.restart();
  await settle();
  await answer();
  assert.equal(workers.length, 1);
  assert.equal(running().length, 1);
});

test('a restart while the manifest loads leaves no timer that ends the worker later', async () => {
  const { connection, told } = await client();
  connection.restart();
  await settle();
  await answer();
  workers.at(-1).say({ type: 'ready', systems: [] });
  mock.timers.tick(60_000);
  await settle();
  assert.equal(workers.length, 1);
  assert.equal(workers[0].ended, false);
  assert.deepEqual(told.map((event) => event.type), ['ready']);
});

test('a failed module is followed by the next variant with a new time limit', async () => {
  await client();
  await answer();
  mock.timers.tick(29_000);
  running()[0].say({ type: 'crashed', message: 'HTTP 404' });
  await settle();
  assert.equal(workers.length, 2);
  assert.equal(running().length, 1);
  mock.timers.tick(29_000);
  await settle();
  assert.equal(running().length, 1);
  assert.equal(workers.length, 2);
  assert.notEqual(workers[1].got[0].module, workers[0].got[0].module);
});

test('a restart while the next variant waits for its manifest starts one worker', async () => {
  const { crossover, connection } = await client();
  await answer();
  // The manifest is requested again when its address changes.
  crossover.configure({ base: SITE });
  running()[0].say({ type: 'crashed', message: 'HTTP 404' });
  connection.restart();
  await settle();
  await answer();
  assert.equal(running().length, 1);
});

test('a failure found after a restart is not reported', async () => {
  const { connection, told } = await client();
  await answer({ boot: 'boot.js', workers: {} });
  // Every variant failed, so the client asks whether a newer build is online.
  assert.equal(asked.length, 1);
  connection.restart();
  await settle();
  assert.equal(asked.length, 2);
  await answer();
  assert.deepEqual(told, []);
  await answer();
  assert.deepEqual(told.map((event) => event.error?.code), ['worker-load-failed']);
});

test('messages of an ended worker are ignored', async () => {
  const { connection, told } = await client();
  await answer();
  const [first] = workers;
  connection.restart();
  await settle();
  first.say({ type: 'ready', systems: [] });
  assert.deepEqual(told, []);
  assert.equal(running().length, 1);
});
