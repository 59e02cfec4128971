// What a host page and an embedded race say to each other. One version, a table of fields for each direction, and
// nothing else gets through: a message with a missing, wrong or additional field is no message.
//
// @ts-check

/** Version of this vocabulary. A message of another version is ignored. */
export const VERSION = 1;

/** Longest set-up, in characters: that of the longest link. */
export const MAX_SETUP = 64 * 1024;

/** Longest report, in characters of JSON. Twenty-eight lanes at thirty-two lengths are a tenth of it. */
const MAX_REPORT = 4 * 1024 * 1024;

const MAX_TEXT = 2000;

/** Greatest height that a frame may ask for, in pixels. */
export const MAX_HEIGHT = 20_000;

/** @typedef {(value: unknown) => boolean} Check */

/** @param {number} most @returns {Check} */
const text = (most) => (value) => typeof value === 'string' && value.length <= most;
/** @param {number} least @param {number} most @returns {Check} */
const number = (least, most) => (value) => typeof value === 'number' && value >= least && value <= most;
/** @param {string[]} words @returns {Check} */
const oneOf = (...words) => (value) => typeof value === 'string' && words.includes(value);

/** @typedef {Map<string, Map<string, Check>>} Vocabulary */

/** @param {Record<string, Record<string, Check>>} types @returns {Vocabulary} */
const vocabulary = (types) => new Map(Object.entries(types).map(([type, fields]) => [type, new Map(Object.entries(fields))]));

/** What a frame listens to. Maps, not objects: no name that a message brings finds anything inherited. */
export const TO_FRAME = vocabulary({
  /** Asks for `ready`, and tells the frame which origin its host has. */
  hello: {},
  /** Starts the race that is set up. */
  start: {},
  /** Stops it. */
  cancel: {},
  /** The turn that was asked for has come. */
  turn: {},
  /** Sets another race up: the same text as the frame's fragment. */
  setup: { setup: text(MAX_SETUP) },
});

/** What a host listens to. */
export const TO_HOST = vocabulary({
  /** The height that the frame's content needs, in pixels. */
  height: { height: number(0, MAX_HEIGHT) },
  ready: {},
  /** Asks for a turn among the host's races, or gives it back. */
  turn: { wanted: (value) => typeof value === 'boolean' },
  state: { state: oneOf('still', 'loading', 'idle', 'running', 'done') },
  progress: {
    fraction: number(0, 1),
    remainingMs: number(0, Number.MAX_VALUE),
    lane: number(0, 1000),
    length: number(0, 2 ** 32),
    activity: text(64),
  },
  /** The report as JSON. */
  report: { report: text(MAX_REPORT) },
  error: { code: text(64), message: text(MAX_TEXT) },
});

/**
 * A message as it travels.
 * @param {string} type
 * @param {Record<string, unknown>} [fields]
 */
export const message = (type, fields = {}) => ({ crossover: VERSION, type, ...fields });

/** Text cut to what a message may carry. @param {unknown} words */
export const short = (words) => String(words).slice(0, MAX_TEXT);

/**
 * The message in `data`, or nothing where it is none of this vocabulary.
 * @param {any} data
 * @param {Vocabulary} vocabulary
 * @returns {any}
 */
export function read(data, vocabulary) {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return undefined;
  const prototype = Object.getPrototypeOf(data);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  if (!Object.hasOwn(data, 'crossover') || data.crossover !== VERSION || !Object.hasOwn(data, 'type')) return undefined;
  const fields = typeof data.type === 'string' ? vocabulary.get(data.type) : undefined;
  if (!fields) return undefined;
  let known = 2;
  for (const [name, check] of fields) {
    if (!Object.hasOwn(data, name) || !check(data[name])) return undefined;
    known += 1;
  }
  // A loop that ends early, since a hostile message may have a million keys.
  // eslint-disable-next-line no-unused-vars
  for (const _ in data) {
    known -= 1;
    if (known < 0) return undefined;
  }
  return data;
}

/** Lets a few messages through in a second and drops the rest. */
export class Meter {
  #perSecond;
  #left;
  #since = 0;

  /** @param {number} perSecond */
  constructor(perSecond) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
  }

  /** Whether one more may pass now. */
  pass(now = performance.now()) {
    this.#left = Math.min(this.#perSecond, this.#left + ((now - this.#since) / 1000) * this.#perSecond);
    this.#since = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
