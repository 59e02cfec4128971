// Messages between a host page and an embedded race. One version, with a table of fields for each direction. A message
// with a missing, wrong or additional field is ignored.
//
// @ts-check

/** Version of this vocabulary. Messages of other versions are ignored. */
export const VERSION = 1;

/** Longest configuration in characters, the length limit of links. */
export const MAX_SETUP = 64 * 1024;

/** Longest report in characters of JSON, ten times that of 28 lanes at 32 lengths. */
const MAX_REPORT = 4 * 1024 * 1024;

const MAX_TEXT = 2000;

/** Greatest height that a frame may request, in pixels. */
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

/** Messages to a frame. Maps, not objects, so that a message's names cannot refer to inherited properties. */
export const TO_FRAME = vocabulary({
  /** Asks for `ready`, and tells the frame the origin of its host. */
  hello: {},
  /** Starts the configured race. */
  start: {},
  /** Cancels the race. */
  cancel: {},
  /** Grants the requested turn. */
  turn: {},
  /** Configures another race, by the text of the frame's fragment. */
  setup: { setup: text(MAX_SETUP) },
});

/** Messages to a host. */
export const TO_HOST = vocabulary({
  /** The height that the frame's content needs, in pixels. */
  height: { height: number(0, MAX_HEIGHT) },
  ready: {},
  /** Requests a turn among the host's races, or returns it. */
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
 * A message in its wire format.
 * @param {string} type
 * @param {Record<string, unknown>} [fields]
 */
export const message = (type, fields = {}) => ({ crossover: VERSION, type, ...fields });

/** Text cut to the length limit of messages. @param {unknown} words */
export const short = (words) => String(words).slice(0, MAX_TEXT);

/**
 * The message in `data`, or nothing where it is invalid.
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
  // Ends early, since a hostile message may have a million keys.
  // eslint-disable-next-line no-unused-vars
  for (const _ in data) {
    known -= 1;
    if (known < 0) return undefined;
  }
  return data;
}

/** Passes a limited number of messages per second and drops all others. */
export class Meter {
  #perSecond;
  #left;
  #since = 0;

  /** @param {number} perSecond */
  constructor(perSecond) {
    this.#perSecond = perSecond;
    this.#left = perSecond;
  }

  /** Whether another message may pass now. */
  pass(now = performance.now()) {
    this.#left = Math.min(this.#perSecond, this.#left + ((now - this.#since) / 1000) * this.#perSecond);
    this.#since = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
