// The embed page: a still image until it is pressed, then the page's application in its embed layout. Communicates with
// its host by the messages of messages.js, and with no other page.
//
// @ts-check

import { Meter, message, read, short, MAX_HEIGHT, MAX_SETUP, TO_FRAME } from './messages.js';

/** Messages of the host that are processed per second. A host that sends more is faulty. */
const MESSAGES_PER_SECOND = 40;

/** Visible part of the frame, and its duration in milliseconds, after which a race may start by itself. */
const SEEN = 0.5;
const SEEN_MS = 600;

/** Most systems that a still image lists by name; a greater number is only stated. */
const LISTED = 4;

const WORDS = {
  en: {
    versus: (/** @type {string[]} */ names) => names.join(' vs. '),
    many: (/** @type {number} */ count) => `A race of ${count} sequence mixers`,
    fallback: 'Where does attention lose?',
    recorded: 'A recorded race',
    lengths: (/** @type {string} */ lengths) => `Sequence lengths ${lengths}, timed on your own hardware`,
    contexts: (/** @type {string} */ contexts) => `The next token after ${contexts} tokens of context, timed on your own hardware`,
    own: 'Timed in your browser, on your own hardware',
    measured: 'Measured earlier, on the stated hardware',
    press: 'Load the race',
    start: 'Race on this device',
    show: 'Show the chart',
    full: 'Open in Crossover',
    loading: 'Loading…',
    lost: 'The race could not be loaded',
    why: 'A proxy, an extension or the connection may be blocking its files. Reload the page to try again.',
  },
  zh: {
    versus: (/** @type {string[]} */ names) => names.join(' 对 '),
    many: (/** @type {number} */ count) => `${count} 种序列混合器的竞赛`,
    fallback: '注意力在哪里落败？',
    recorded: '一场已记录的竞赛',
    lengths: (/** @type {string} */ lengths) => `序列长度 ${lengths}，在你自己的硬件上计时`,
    contexts: (/** @type {string} */ contexts) => `上下文 ${contexts} 个词元之后逐词元生成，在你自己的硬件上计时`,
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

// The first of the reader's languages that has texts, as in the application.
const wish = navigator.languages?.find((tag) => /^(en|zh)\b/i.test(tag)) ?? 'en';
const words = /^zh/i.test(wish) ? WORDS.zh : WORDS.en;

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const app = $('app');
const press = /** @type {HTMLButtonElement} */ ($('press'));

/** Origin of the host, once it has sent `hello`. @type {string | undefined} */
let host;
let setup = '';
/** @type {'still' | 'loading' | 'idle' | 'running' | 'done'} */
let state = 'still';
/** Command to execute once the application is loaded. */
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

// The configured race.

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
  const spans = (/** @type {string} */ name) => list(name).join(', ').slice(0, 80).replaceAll('..', '–');
  const [lengths, contexts] = [spans('lengths'), spans('contexts')];
  const named = systems.length > LISTED ? words.many(systems.length) : words.versus(systems.map((name) => name.slice(0, 40)));
  document.documentElement.lang = words === WORDS.zh ? 'zh-Hans' : 'en';
  $('what').textContent = named || (recorded ? words.recorded : words.fallback);
  $('how').textContent = recorded ? words.measured : contexts ? words.contexts(contexts) : lengths ? words.lengths(lengths) : words.own;
  press.textContent = recorded ? words.show : words.start;
  $('full').textContent = words.full;
  // The page takes the configuration unchanged. The look and start of this frame are not part of the race.
  const race = new URLSearchParams(setup);
  for (const name of ['theme', 'autoplay']) race.delete(name);
  const link = fields.get('r');
  const fragment = link ? `r=${encodeURIComponent(link)}` : String(race);
  $('full').setAttribute('href', fragment ? `./#${fragment}` : './');
}

/** Starts a race in view, where the host requests it and the reader's preferences allow it. */
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

// The application.

/** The page's parts in an embed: it accepts no files and stores nothing on the reader's device. */
const PARTS = {
  files: async () => ({ watch() {} }),
  history: async () => ({ async list() { return '[]'; }, async add() {}, watch() {} }),
};

/** Handles a press: starts the race, or shows a recorded one. */
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
    // Before this page's own sheet, which overrides it for the frame.
    document.head.prepend(link);
  });
}

/**
 * The engine's client, whose events are also sent to the host.
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
      // The page reports all other errors itself; a cancelled race is not an error to it.
      if (event.error.code === 'cancelled') failed(event.error.code, event.error.message);
    }
  });
}

/** Called when the host grants this race its turn. */
let myTurn = () => {};

/** Asks the host for a turn. Without a host, every race starts immediately. @param {AbortSignal} signal */
function turn(signal) {
  if (host === undefined) return Promise.resolve();
  tell('turn', { wanted: true });
  signal.addEventListener('abort', () => tell('turn', { wanted: false }), { once: true });
  return /** @type {Promise<void>} */ (new Promise((resolve) => { myTurn = () => resolve(undefined); }));
}

/** A race out of view pauses, as in a hidden tab. @param {(seen: boolean) => void} report */
function onScreen(report) {
  new IntersectionObserver((entries) => {
    const entry = entries[entries.length - 1];
    report(entry.isIntersecting && entry.boundingClientRect.width > 1);
  }).observe(document.body);
}

// The host.

const meter = new Meter(MESSAGES_PER_SECOND);

window.addEventListener('message', (event) => {
  // A host without an origin cannot be addressed, so it gets no answer.
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
  // The only message that is sent to a host before it has sent `hello`.
  window.parent.postMessage(message('height', { height }), host ?? '*');
}).observe(document.body);

press.addEventListener('click', pressed);
window.addEventListener('hashchange', () => take(window.location.hash.slice(1)));
take(window.location.hash.slice(1));
