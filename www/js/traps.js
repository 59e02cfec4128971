// A panic of a wasm module is a trap: a RuntimeError that has no words of the module's. What can be told is where it is.
//
// @ts-check

const WORDS = {
  en: { title: 'The page itself failed', why: 'This is a fault of the page. Please report it with these lines:' },
  zh: { title: '页面本身出错了', why: '这是页面的错误。请附上以下内容报告：' },
};

/**
 * A trap in one line, for a report of the fault; nothing for any other error.
 * @param {unknown} error
 * @param {string} [where] e.g. `on a thread`
 * @returns {string | undefined}
 */
export function trap(error, where) {
  if (typeof WebAssembly !== 'object' || !(error instanceof WebAssembly.RuntimeError)) return undefined;
  const place = /wasm-function\[\d+\](:0x[0-9a-f]+)?/.exec(error.stack ?? '');
  return `a fault in its code (${[error.message, place?.[0], where].filter(Boolean).join(', ')})`;
}

/**
 * Shows a trap of the page's module in the element that the page keeps for it. The module is unusable from then on.
 * @param {unknown} error
 * @returns {boolean} whether it was one
 */
export function shown(error) {
  const place = document.getElementById('panic');
  const told = trap(error);
  if (!told || !place) return false;
  // The first trap is the fault; what comes after is what it left behind.
  if (!place.hidden) return true;
  const words = document.documentElement.lang.startsWith('zh') ? WORDS.zh : WORDS.en;
  const stack = /** @type {Error} */ (error).stack?.split('\n').slice(0, 12).join('\n') ?? '';
  for (const [id, text] of [['panic-title', words.title], ['panic-text', `${words.why}\n\n${told}\n${stack}\n${navigator.userAgent}`]]) {
    const element = document.getElementById(id);
    if (element) element.textContent = text;
  }
  place.hidden = false;
  return true;
}

/** Shows traps from now on. */
export function watchTraps() {
  window.addEventListener('error', (event) => shown(event.error));
  window.addEventListener('unhandledrejection', (event) => shown(event.reason));
}
