// A panic of a wasm module is a trap: a RuntimeError without the module's message. Only its position is known.
//
// @ts-check

const WORDS = {
  en: { title: 'The page itself failed', why: 'This is a fault of the page. Please report it with these lines:' },
  zh: { title: '页面本身出错了', why: '这是页面的错误。请附上以下内容报告：' },
};

/**
 * The position of a trap; nothing for any other error.
 * @param {unknown} error
 * @returns {string | undefined}
 */
function trap(error) {
  if (typeof WebAssembly !== 'object' || !(error instanceof WebAssembly.RuntimeError)) return undefined;
  const place = /wasm-function\[\d+\](:0x[0-9a-f]+)?/.exec(error.stack ?? '');
  return [error.message, place?.[0]].filter(Boolean).join(', ');
}

/**
 * The fault that stopped a worker or one of its threads: in English, and as a code with arguments or as the browser's
 * message.
 * @param {unknown} error
 * @param {{ thread?: boolean }} [where]
 */
export function fault(error, { thread = false } = {}) {
  const place = trap(error);
  if (place === undefined) {
    const words = String(/** @type {any} */ (error)?.message ?? error);
    return { message: words, reason: words };
  }
  return thread
    ? { message: `a fault in its code (${place}, on a thread)`, reason: { code: 'fault-on-thread', args: { place } } }
    : { message: `a fault in its code (${place})`, reason: { code: 'fault', args: { place } } };
}

/**
 * Shows a trap of the page's module in the page's element for it. The module is unusable afterwards.
 * @param {unknown} error
 * @returns {boolean} whether it was one
 */
export function shown(error) {
  const place = document.getElementById('panic');
  const told = trap(error);
  if (told === undefined || !place) return false;
  // The first trap is the fault, and later ones are its consequences.
  if (!place.hidden) return true;
  const words = document.documentElement.lang.startsWith('zh') ? WORDS.zh : WORDS.en;
  const stack = /** @type {Error} */ (error).stack?.split('\n').slice(0, 12).join('\n') ?? '';
  for (const [id, text] of [['panic-title', words.title], ['panic-text', `${words.why}\n\na fault in its code (${told})\n${stack}\n${navigator.userAgent}`]]) {
    const element = document.getElementById(id);
    if (element) element.textContent = text;
  }
  place.hidden = false;
  return true;
}

/** Shows all traps from now on. */
export function watchTraps() {
  window.addEventListener('error', (event) => shown(event.error));
  window.addEventListener('unhandledrejection', (event) => shown(event.reason));
}
