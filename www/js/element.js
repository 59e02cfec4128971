// The custom element <crossover-race>: a race in an iframe of Crossover's own origin that adapts its height. The
// element passes attributes to the frame and dispatches its events. The frame (embed.js) does everything else.
//
// @ts-check

import { Meter, read, message, MAX_SETUP, TO_HOST } from './messages.js';

/** Attributes that configure the race, with the names of their properties. */
const SETUP = new Map([
  ['systems', 'systems'],
  ['mode', 'mode'],
  ['lengths', 'lengths'],
  ['contexts', 'contexts'],
  ['tokens', 'tokens'],
  ['width', 'width'],
  ['heads', 'heads'],
  ['batch', 'batch'],
  ['causal', 'causal'],
  ['level', 'level'],
  ['backend', 'backend'],
  ['threads', 'threads'],
  ['budgetms', 'budgetMs'],
  ['seed', 'seed'],
  ['theme', 'theme'],
  ['autoplay', 'autoplay'],
  ['report', 'report'],
]);

/** Silence after loading after which a frame counts as blocked, in milliseconds. */
const SILENCE_MS = 6000;

/** Range of heights that a frame may request, in pixels. */
const LOWEST = 80;
const HIGHEST = 4000;

/** Decreases of the height per second from which the host's layout and the frame's are considered to be in a loop. */
const MAX_FALLS = 4;

/** Time after such a loop during which the height may only grow, in milliseconds. It doubles with each further loop. */
const SETTLE_MS = 3000;

/** Messages of a frame that are processed per second. An engine sends ten. */
const MESSAGES_PER_SECOND = 60;

/** Height of a frame that has not requested one, in pixels. */
const FIRST_HEIGHT = 260;

const STYLE = `
:host { display: block; min-width: 0; }
:host([hidden]) { display: none; }
iframe { display: block; width: 100%; border: 0; border-radius: 14px; color-scheme: normal; }
`;

/** Stable heights: a loop in which a frame grows because it shrank ends at the greater height. */
class Heights {
  #falls = /** @type {number[]} */ ([]);
  #hold = SETTLE_MS;
  #growOnlyUntil = 0;
  #height = 0;

  /**
   * The height to apply for a requested one, or nothing to keep the current one. `later` is the time after which to
   * request again, in milliseconds.
   * @param {number} wanted
   * @param {number} now in milliseconds
   * @returns {{height?: number, later?: number}}
   */
  next(wanted, now) {
    const height = Math.min(HIGHEST, Math.max(LOWEST, Math.ceil(wanted)));
    if (height === this.#height) return {};
    if (height < this.#height) {
      if (now < this.#growOnlyUntil) return { later: this.#growOnlyUntil - now };
      this.#falls = this.#falls.filter((at) => now - at < 1000);
      this.#falls.push(now);
      if (this.#falls.length > MAX_FALLS) {
        this.#falls = [];
        this.#growOnlyUntil = now + this.#hold;
        this.#hold *= 2;
        return { later: this.#growOnlyUntil - now };
      }
    }
    this.#height = height;
    return { height };
  }
}

/**
 * Turns of this page's races, for frames that share no locks: browsers that refuse storage to frames of other sites
 * refuse locks, too. The first entry is the running race.
 * @type {Map<object, () => void>}
 */
const line = new Map();

/** @param {object} who @param {() => void} go */
function queue(who, go) {
  line.set(who, go);
  if (line.size === 1) go();
}

/** @param {object} who */
function leave(who) {
  const working = line.keys().next().value === who;
  line.delete(who);
  if (working) line.values().next().value?.();
}

/**
 * A promise with its resolvers. Code that uses the events instead ignores it, so an unhandled rejection is not an
 * error.
 */
function pending() {
  /** @type {(report: unknown) => void} */
  let resolve = () => {};
  /** @type {(error: Error) => void} */
  let reject = () => {};
  const promise = new Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/**
 * The frame's fragment for an element's attributes.
 * @param {Iterable<[string, string]>} attributes
 */
export function setupOf(attributes) {
  const setup = new URLSearchParams();
  for (const [name, value] of attributes) {
    if (name === 'report') setup.set('r', linked(value));
    else if (SETUP.has(name)) setup.set(name, value);
  }
  return setup.toString();
}

/** The text after `#r=` in a link, or the whole text without one. @param {string} link */
function linked(link) {
  const start = link.indexOf('#r=');
  return (start >= 0 ? link.slice(start + 3) : link.replace(/^#?r=/, '')).trim();
}

/**
 * Defines the element once, where custom elements are supported.
 * @param {() => string | URL} base where the site's files are
 * @param {new (code: string, message: string) => Error} CrossoverError
 */
export function define(base, CrossoverError) {
  if (!globalThis.customElements || customElements.get('crossover-race')) return;

  class CrossoverRace extends HTMLElement {
    static observedAttributes = [...SETUP.keys(), 'title'];

    #frame = document.createElement('iframe');
    #heights = new Heights();
    #meter = new Meter(MESSAGES_PER_SECOND);
    #origin = '';
    #greeted = false;
    #alive = false;
    #queued = false;
    #sent = '';
    #reopened = false;
    #state = 'still';
    /** @type {unknown} */
    #result = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #silence;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #settle;
    /** @type {ReturnType<typeof pending> | undefined} */
    #race;
    /** @type {string | undefined} */
    #command;
    #fallback = document.createElement('slot');

    constructor() {
      super();
      const shadow = this.attachShadow({ mode: 'open' });
      // A constructed style sheet, because hosts may forbid style elements.
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      shadow.adoptedStyleSheets = [sheet];
      this.#frame.loading = 'lazy';
      this.#frame.allow = 'cross-origin-isolated; screen-wake-lock; clipboard-write';
      this.#frame.referrerPolicy = 'no-referrer';
      this.#frame.setAttribute('part', 'frame');
      this.#frame.style.height = `${FIRST_HEIGHT}px`;
      this.#frame.addEventListener('load', () => this.#loaded());
      // The element's children are shown where the frame is blocked.
      this.#fallback.hidden = true;
      shadow.append(this.#frame, this.#fallback);
    }

    /** State of the race: `still`, `loading`, `idle`, `running` or `done`. */
    get state() {
      return this.#state;
    }

    /** The last report, or null. */
    get result() {
      return this.#result;
    }

    connectedCallback() {
      // Properties that were set before this module was loaded.
      for (const property of SETUP.values()) {
        if (!Object.hasOwn(this, property)) continue;
        const own = /** @type {any} */ (this);
        const value = own[property];
        delete own[property];
        own[property] = value;
      }
      window.addEventListener('message', this.#receive);
      this.#open();
    }

    disconnectedCallback() {
      window.removeEventListener('message', this.#receive);
      clearTimeout(this.#silence);
      clearTimeout(this.#settle);
      leave(this);
      this.#greeted = false;
      this.#command = undefined;
      this.#state = 'still';
      // The frame is removed with the element, which ends its worker and its turn.
      this.#fail(new CrossoverError('removed', 'The race was taken out of the page.'));
    }

    attributeChangedCallback() {
      if (!this.isConnected || this.#queued) return;
      // Several attributes are often set together.
      this.#queued = true;
      queueMicrotask(() => {
        this.#queued = false;
        this.#change();
      });
    }

    /** Starts the race and returns its report. */
    start() {
      if (!this.isConnected) return Promise.reject(new CrossoverError('not-connected', 'Put the element into a page first.'));
      if (!this.#race) {
        this.#race = pending();
        // The frame has not received attributes that were set in the current task.
        this.#change();
        this.#tell('start');
      }
      return this.#race.promise;
    }

    /** Stops the race. The points measured so far are in its report. */
    cancel() {
      this.#tell('cancel');
    }

    #setup() {
      // An overlong configuration is cut, and the frame reports it.
      return setupOf(this.getAttributeNames().map((name) => [name, this.getAttribute(name) ?? ''])).slice(0, MAX_SETUP);
    }

    /** Sends changed attributes to the frame. */
    #change() {
      if (!this.isConnected) return;
      this.#frame.title = this.getAttribute('title') || 'Crossover';
      const setup = this.#setup();
      if (setup === this.#sent) return;
      if (this.#greeted) {
        this.#post('setup', { setup });
        this.#sent = setup;
      } else {
        this.#open();
        this.#reopened = true;
      }
    }

    #open() {
      const address = new URL('embed.html', base());
      this.#origin = address.origin;
      this.#sent = this.#setup();
      address.hash = this.#sent;
      this.#frame.title = this.getAttribute('title') || 'Crossover';
      this.#frame.src = address.href;
    }

    #loaded() {
      // A frame's initial empty document also fires a load event.
      if (!this.isConnected || !this.#origin) return;
      this.#greeted = false;
      this.#alive = false;
      leave(this);
      this.#post('hello');
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => this.#silent(), SILENCE_MS);
    }

    #silent() {
      const words = `The race at ${this.#origin} does not answer: this page's content policy, a browser extension or the network may block it.`;
      const error = new CrossoverError('frame-silent', words);
      // A frame that only sends its height is working; its host has no origin to which it could answer.
      if (!this.#alive) {
        this.#frame.hidden = true;
        this.#frame.style.display = 'none';
        this.#fallback.hidden = false;
        this.#emit('error', { code: 'frame-silent', message: words });
      }
      this.#fail(error);
    }

    /** @param {string} command */
    #tell(command) {
      if (this.#greeted) {
        this.#post(command);
      } else {
        this.#command = command;
        // A frame out of view is not loaded yet.
        this.#frame.loading = 'eager';
      }
    }

    /** @param {string} type @param {Record<string, unknown>} [fields] */
    #post(type, fields) {
      this.#frame.contentWindow?.postMessage(message(type, fields), this.#origin);
    }

    /** @param {MessageEvent} event */
    #receive = (event) => {
      if (event.source !== this.#frame.contentWindow || !event.source) return;
      // Frames in sandboxed hosts have no origin, but may request a height.
      const known = event.origin === this.#origin;
      if (!known && event.origin !== 'null') return;
      const data = read(event.data, TO_HOST);
      if (!data || (!known && data.type !== 'height')) return;
      // The final messages of a race are never dropped.
      if (data.type !== 'report' && data.type !== 'state' && data.type !== 'turn' && !this.#meter.pass()) return;
      switch (data.type) {
        case 'height': {
          this.#alive = true;
          this.#resize(data.height);
          break;
        }
        case 'ready':
          this.#alive = true;
          this.#greeted = true;
          clearTimeout(this.#silence);
          // The new address of an existing frame may arrive after the command.
          if (this.#reopened) this.#post('setup', { setup: this.#sent });
          this.#reopened = false;
          if (this.#command) this.#post(this.#command);
          this.#command = undefined;
          break;
        case 'state':
          this.#state = data.state;
          break;
        case 'turn':
          if (data.wanted) queue(this, () => this.#post('turn'));
          else leave(this);
          break;
        case 'progress': {
          const { fraction, remainingMs, lane, length, activity } = data;
          this.#emit('progress', { fraction, remainingMs, lane, length, activity });
          break;
        }
        case 'report':
          this.#report(data.report);
          break;
        case 'error':
          this.#emit('error', { code: data.code, message: data.message });
          this.#fail(new CrossoverError(data.code, data.message));
          break;
        default:
      }
    };

    /** @param {number} wanted */
    #resize(wanted) {
      clearTimeout(this.#settle);
      const { height, later } = this.#heights.next(wanted, performance.now());
      if (height !== undefined) this.#frame.style.height = `${height}px`;
      if (later !== undefined) this.#settle = setTimeout(() => this.#resize(wanted), later);
    }

    /** @param {string} json */
    #report(json) {
      let report;
      try {
        report = JSON.parse(json);
      } catch {
        return;
      }
      if (typeof report !== 'object' || report === null || !Array.isArray(report.lanes)) return;
      this.#result = report;
      const race = this.#race;
      this.#race = undefined;
      race?.resolve(report);
      this.#emit('report', report);
    }

    /** @param {Error} error */
    #fail(error) {
      const race = this.#race;
      this.#race = undefined;
      race?.reject(error);
    }

    /** @param {string} type @param {unknown} detail */
    #emit(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail }));
    }
  }

  for (const [attribute, property] of SETUP) {
    Object.defineProperty(CrossoverRace.prototype, property, {
      configurable: true,
      enumerable: true,
      /** @this {HTMLElement} */
      get() {
        return this.getAttribute(attribute) ?? '';
      },
      /** @this {HTMLElement} @param {unknown} value */
      set(value) {
        if (value === null || value === undefined) this.removeAttribute(attribute);
        // Lengths are joined by a comma and a blank, since either alone may also be a thousands separator.
        else this.setAttribute(attribute, Array.isArray(value) ? value.join(attribute === 'systems' ? ' ' : ', ') : String(value));
      },
    });
  }
  customElements.define('crossover-race', CrossoverRace);
}
