// The custom element <crossover-race>: a race in an iframe of Crossover's own origin, which sizes itself. The element
// passes attributes in and events out; everything else happens in the frame (embed.js).
//
// @ts-check

import { Meter, read, message, MAX_SETUP, TO_HOST } from './messages.js';

/** Attributes that say what to race, and the names of their properties. */
const SETUP = new Map([
  ['systems', 'systems'],
  ['lengths', 'lengths'],
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

/** How long a frame that has loaded may stay silent before it counts as blocked, in milliseconds. */
const SILENCE_MS = 6000;

/** Heights within which a frame may ask for its own, in pixels. */
const LOWEST = 80;
const HIGHEST = 4000;

/** A height that falls more often than this in a second is a loop between the host's layout and the frame's. */
const MAX_FALLS = 4;

/** How long heights may only grow after such a loop was seen, in milliseconds; twice as long after each further one. */
const SETTLE_MS = 3000;

/** Messages of a frame that are looked at in a second. An engine sends ten. */
const MESSAGES_PER_SECOND = 60;

/** A frame without a height of its own yet. */
const FIRST_HEIGHT = 260;

const STYLE = `
:host { display: block; min-width: 0; }
:host([hidden]) { display: none; }
iframe { display: block; width: 100%; border: 0; border-radius: 14px; color-scheme: normal; }
`;

/** Heights that settle: a loop in which a frame grows because it shrank ends at the greater height. */
class Heights {
  #falls = /** @type {number[]} */ ([]);
  #hold = SETTLE_MS;
  #growOnlyUntil = 0;
  #height = 0;

  /**
   * The height to take for one that was asked for, or nothing to leave it; `later` says in how many milliseconds to ask
   * again.
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
 * Turns of this page's races, for frames that have no locks to share: browsers refuse those to frames of other sites when
 * they refuse them storage. The first in line is at work.
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

/** A promise to be settled from elsewhere. Who listens to the events instead leaves it alone, which is no error. */
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
 * Text of the frame's fragment for an element's attributes.
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

/** What follows `#r=` in a link, or the whole of what is none. @param {string} link */
function linked(link) {
  const start = link.indexOf('#r=');
  return (start >= 0 ? link.slice(start + 3) : link.replace(/^#?r=/, '')).trim();
}

/**
 * Defines the element, once, where there are elements.
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
      // A sheet made by script: hosts may forbid style elements.
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      shadow.adoptedStyleSheets = [sheet];
      this.#frame.loading = 'lazy';
      this.#frame.allow = 'cross-origin-isolated; screen-wake-lock; clipboard-write';
      this.#frame.referrerPolicy = 'no-referrer';
      this.#frame.setAttribute('part', 'frame');
      this.#frame.style.height = `${FIRST_HEIGHT}px`;
      this.#frame.addEventListener('load', () => this.#loaded());
      // Its children are what is seen where the frame is blocked.
      this.#fallback.hidden = true;
      shadow.append(this.#frame, this.#fallback);
    }

    /** How far the race is: `still`, `loading`, `idle`, `running` or `done`. */
    get state() {
      return this.#state;
    }

    /** The last report, or null. */
    get result() {
      return this.#result;
    }

    connectedCallback() {
      // Properties that were set before this module was there.
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
      // The frame goes with the element, and its worker and its turn with it.
      this.#fail(new CrossoverError('removed', 'The race was taken out of the page.'));
    }

    attributeChangedCallback() {
      if (!this.isConnected || this.#queued) return;
      // Several attributes are often set at once.
      this.#queued = true;
      queueMicrotask(() => {
        this.#queued = false;
        this.#change();
      });
    }

    /** Starts the race, and answers with its report. */
    start() {
      if (!this.isConnected) return Promise.reject(new CrossoverError('not-connected', 'Put the element into a page first.'));
      if (!this.#race) {
        this.#race = pending();
        // Of attributes that were set in this very task the frame has not heard yet.
        this.#change();
        this.#tell('start');
      }
      return this.#race.promise;
    }

    /** Stops the race. What was measured comes as its report. */
    cancel() {
      this.#tell('cancel');
    }

    #setup() {
      // What is too long arrives cut, and the frame says so.
      return setupOf(this.getAttributeNames().map((name) => [name, this.getAttribute(name) ?? ''])).slice(0, MAX_SETUP);
    }

    /** Tells the frame of attributes that changed. */
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
      // The empty document that a frame has at first loads too.
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
      // A frame that only tells its height is there; its host has no origin that it could answer to.
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
        // A frame out of sight has not been loaded yet.
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
      // Frames of sandboxed hosts have no origin; they may ask for a height all the same.
      const known = event.origin === this.#origin;
      if (!known && event.origin !== 'null') return;
      const data = read(event.data, TO_HOST);
      if (!data || (!known && data.type !== 'height')) return;
      // The last word on a race is never dropped.
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
          // The new address of a frame that was there already may arrive after the command.
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
        // Between lengths both a comma and a blank: either alone may also separate thousands.
        else this.setAttribute(attribute, Array.isArray(value) ? value.join(attribute === 'lengths' ? ', ' : ' ') : String(value));
      },
    });
  }
  customElements.define('crossover-race', CrossoverRace);
}
