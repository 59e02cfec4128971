// The embed page: a still until it is pressed, then the page's own application in its embed layout. Talks to its host
// in the vocabulary of messages.js, and to nobody else.
//
// @ts-check

import { Meter, message, read, short, MAX_HEIGHT, MAX_SETUP, TO_FRAME } from './messages.js';

/** Messages of the host that are looked at in a second. A host that needs more is at fault. */
const MESSAGES_PER_SECOND = 40;

/** How much of the frame must be seen before a race may start by itself, and for how long, in milliseconds. */
const SEEN = 0.5;
const SEEN_MS = 600;

/** Names of systems that a still lists before it only counts them. */
const LISTED = 4;

const WORDS = {
  en: {
    versus: (/** @type {string[]} */ names) => names.join(' vs. '),
    many: (/** @type {number} */ count) => `A race of ${count} sequence mixers`,
    fallback: 'Where does attention lose?',
    recorded: 'A recorded race',
    lengths: (/** @type {string} */ lengths) => `Sequence lengths ${lengths}, timed on your own hardware`,
    own: 'Timed in your browser, on your own hardware',
    measured: 'Measured earlier, on the hardware named with it',
    press: 'Load the race',
    start: 'Race on this device',
    show: 'Show the chart',
    full: 'Open in Crossover',
    loading: 'Loading…',
    lost: 'The race could not be loaded',
    why: 'A proxy, an extension or the connection may keep its files away. Reload the page to try again.',
  },
  zh: {
    versus: (/** @type {string[]} */ names) => names.join(' 对 '),
    many: (/** @type {number} */ count) => `${count} 种序列混合器的竞赛`,
    fallback: '注意力在哪里落败？',
    recorded: '一场已记录的竞赛',
    lengths: (/** @type {string} */ lengths) => `序列长度 ${lengths}，在你自己的硬件上计时`,
    own: '在你的浏览器和硬件上计时',
    measured: '此前测得，所用硬件一并列出',
    press: '加载竞赛',
    start: '在此设备上竞赛',
    show: '显示图表',
    full: '在 Crossover 中打开',
    loading: '正在加载…',
    lost: '无法加载竞赛',
    why: '代理、扩展程序或网络可能阻止了文件。请重新加载页面再试。',
  },
};

// The first of the reader's languages that there are words in, as in the application.
const wish = navigator.languages?.find((tag) => /^(en|zh)\b/i.test(tag)) ?? 'en';
const words = /^zh/i.test(wish) ? WORDS.zh : WORDS.en;

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const app = $('app');
const press = /** @type {HTMLButtonElement} */ ($('press'));

/** Where the host is, once it has said hello. @type {string | undefined} */
let host;
let setup = '';
/** @type {'still' | 'loading' | 'idle' | 'running' | 'done'} */
let state = 'still';
/** What is to happen once the application is there. */
let wanted = '';

/** @param {string} type @param {Record<string, unknown>} [fields] */
function tell(type, fields) {
  if (host !== undefined) window.parent.postMessage(message(type, fields), host);
}

/** @param {typeof state} next */
function become(next) {
  if (state === next) return;
  state = next;
  tell('state', { state });
}

/** @param {string} code @param {unknown} text */
const failed = (code, text) => tell('error', { code: code.slice(0, 64), message: short(text) });

// What is to be raced.

/** @param {string} text */
function take(text) {
  setup = text.slice(0, MAX_SETUP);
  const fields = new URLSearchParams(setup);
  const theme = fields.get('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  app.dataset.setup = setup;
  if (state === 'still') {
    still(fields);
    watch(fields.get('autoplay') === 'visible');
  } else {
    window.dispatchEvent(new Event('crossover-setup'));
  }
}

/** @param {URLSearchParams} fields */
function still(fields) {
  const list = (/** @type {string} */ name) => (fields.get(name) ?? '').split(/[\s,]+/).filter(Boolean);
  const systems = list('systems').slice(0, 64);
  const recorded = fields.has('r');
  const lengths = list('lengths').join(', ').slice(0, 80).replaceAll('..', '–');
  const named = systems.length > LISTED ? words.many(systems.length) : words.versus(systems.map((name) => name.slice(0, 40)));
  document.documentElement.lang = words === WORDS.zh ? 'zh-Hans' : 'en';
  $('what').textContent = named || (recorded ? words.recorded : words.fallback);
  $('how').textContent = recorded ? words.measured : lengths ? words.lengths(lengths) : words.own;
  press.textContent = recorded ? words.show : words.start;
  $('full').textContent = words.full;
  // The page takes the set-up as it is; how this frame looks and starts is no part of the race.
  const race = new URLSearchParams(setup);
  for (const name of ['theme', 'autoplay']) race.delete(name);
  const link = fields.get('r');
  const fragment = link ? `r=${encodeURIComponent(link)}` : String(race);
  $('full').setAttribute('href', fragment ? `./#${fragment}` : './');
}

/** Starts what the reader has in view, where the host asked for that and the reader does not mind. */
let watcher = /** @type {IntersectionObserver | undefined} */ (undefined);
let seen = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);

/** @param {boolean} autoplay */
function watch(autoplay) {
  watcher?.disconnect();
  clearTimeout(seen);
  const spares = matchMedia('(prefers-reduced-motion: reduce)').matches || /** @type {any} */ (navigator).connection?.saveData === true;
  if (!autoplay || spares) return;
  watcher = new IntersectionObserver((entries) => {
    clearTimeout(seen);
    const entry = entries[entries.length - 1];
    const { width, height } = entry.boundingClientRect;
    if (entry.intersectionRatio >= SEEN && width > 1 && height > 1) seen = setTimeout(pressed, SEEN_MS);
  }, { threshold: [0, SEEN, 1] });
  watcher.observe($('still'));
}

// Its application.

/** The page's parts as an embed has them: it takes no files, and keeps nothing on a device whose reader came for something else. */
const PARTS = {
  files: async () => ({ watch() {} }),
  history: async () => ({ async list() { return '[]'; }, async add() {}, watch() {} }),
};

/** What a press does: a race starts, a recorded one is only shown. */
function pressed() {
  if (!new URLSearchParams(setup).has('r')) wanted = 'start';
  open();
}

async function open() {
  if (state !== 'still') return;
  watcher?.disconnect();
  become('loading');
  press.disabled = true;
  $('panic').hidden = true;
  $('note').textContent = words.loading;
  app.dataset.layout = 'embed';
  try {
    const [crossover, page, { watchTraps }, { keepTranslated }] = await Promise.all([
      import('{{root}}/crossover.js'), import('{{page}}/www.js'), import('./traps.js'), import('./translated.js'),
      style('{{assets}}/crossover.css'),
    ]);
    /** @type {any} */ (window).crossover = { ...crossover, connect: relayed(crossover.connect) };
    /** @type {any} */ (window).crossoverParts = PARTS;
    onScreen(crossover.setOnScreen);
    crossover.setTurns(turn);
    watchTraps();
    keepTranslated(document.body);
    await page.default();
    await page.open();
    const focused = document.activeElement === press;
    $('still').hidden = true;
    app.hidden = false;
    if (focused) document.getElementById('start')?.focus();
    become('idle');
    if (wanted === 'start') window.dispatchEvent(new Event('crossover-start'));
  } catch (error) {
    $('panic').hidden = false;
    $('panic-title').textContent = words.lost;
    $('panic-text').textContent = `${/** @type {any} */ (error)?.message ?? error}\n${words.why}`;
    $('note').textContent = '';
    press.disabled = false;
    state = 'loading';
    become('still');
    failed('load-failed', /** @type {any} */ (error)?.message ?? error);
  }
}

/** @param {string} path relative to this module */
function style(path) {
  return new Promise((resolve, reject) => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = new URL(path, import.meta.url).href;
    link.onload = resolve;
    link.onerror = () => reject(new Error(`${link.href} could not be loaded`));
    // Before this page's own sheet, which has the last word about the frame.
    document.head.prepend(link);
  });
}

/**
 * The engine's client, with the host listening in.
 * @param {(onEvent: (json: string) => void) => unknown} connect
 */
function relayed(connect) {
  return (/** @type {(json: string) => void} */ onEvent) => connect((json) => {
    onEvent(json);
    const event = JSON.parse(json);
    if (event.type === 'progress') {
      become('running');
      const { fraction, remainingMs, lane, length, activity } = event;
      tell('progress', { fraction: Math.min(1, Math.max(0, fraction || 0)), remainingMs: Math.max(0, remainingMs || 0), lane, length, activity });
    } else if (event.type === 'report') {
      become('running');
    } else if (event.type === 'done') {
      become('done');
      tell('report', { report: JSON.stringify(event.report) });
    } else if (event.type === 'error' && event.id !== undefined) {
      become('idle');
      // The page shows every other error itself and says so below; a race that was stopped in time is none to it.
      if (event.error.code === 'cancelled') failed(event.error.code, event.error.message);
    }
  });
}

/** Called when the host says that it is this race's turn. */
let myTurn = () => {};

/** Asks the host for a turn. Without one to ask, every race goes at once. @param {AbortSignal} signal */
function turn(signal) {
  if (host === undefined) return Promise.resolve();
  tell('turn', { wanted: true });
  signal.addEventListener('abort', () => tell('turn', { wanted: false }), { once: true });
  return /** @type {Promise<void>} */ (new Promise((resolve) => { myTurn = () => resolve(undefined); }));
}

/** A race that nobody sees rests, as in a hidden tab. @param {(seen: boolean) => void} report */
function onScreen(report) {
  new IntersectionObserver((entries) => {
    const entry = entries[entries.length - 1];
    report(entry.isIntersecting && entry.boundingClientRect.width > 1);
  }).observe(document.body);
}

// Its host.

const meter = new Meter(MESSAGES_PER_SECOND);

window.addEventListener('message', (event) => {
  // A host without an origin can be told nothing, since there is no address for it alone.
  if (window.parent === window || event.source !== window.parent || event.origin === 'null' || !event.origin) return;
  if (host !== undefined && event.origin !== host) return;
  if (!meter.pass()) return;
  const data = read(event.data, TO_FRAME);
  if (!data) return;
  host = event.origin;
  switch (data.type) {
    case 'hello':
      tell('ready');
      tell('state', { state });
      break;
    case 'start':
      if (state === 'still' || state === 'loading') {
        wanted = 'start';
        open();
      } else {
        window.dispatchEvent(new Event('crossover-start'));
      }
      break;
    case 'cancel':
      wanted = '';
      window.dispatchEvent(new Event('crossover-cancel'));
      break;
    case 'turn':
      myTurn();
      break;
    case 'setup':
      take(data.setup);
      break;
    default:
  }
});

window.addEventListener('crossover-problem', (event) => {
  const { code, message: text } = /** @type {CustomEvent} */ (event).detail;
  failed(code, text);
});

let told = -1;
new ResizeObserver(() => {
  const height = Math.min(MAX_HEIGHT, Math.ceil(document.body.getBoundingClientRect().height));
  if (height === told || window.parent === window) return;
  told = height;
  // The one thing that any host may know, before it has said who it is.
  window.parent.postMessage(message('height', { height }), host ?? '*');
}).observe(document.body);

press.addEventListener('click', pressed);
window.addEventListener('hashchange', () => take(window.location.hash.slice(1)));
take(window.location.hash.slice(1));
