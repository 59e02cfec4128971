// The page's side of the service worker: has it keep this build for use without a network, and tells the page when a
// newer one is there. Nothing is exchanged under a page that is open: the reader asks for it.
//
// @ts-check

/** How often a page that stays open asks for a newer build, in milliseconds. */
const ASK_MS = 60 * 60 * 1000;

/** How long a newer build waits for this page's start before it takes over, in milliseconds. */
const START_MS = 5000;

/** Whether this page may have a service worker: not inside a frame, where the host decides. */
export function possible() {
  return window.isSecureContext && window.top === window.self && 'serviceWorker' in navigator;
}

/**
 * Keeps this build and watches for the next. Never rejects: where workers or storage are refused, the page needs its
 * network, and that is all.
 * @param {string | URL} script address of the service worker
 * @param {() => Promise<string>} variant name of the worker module that this browser runs
 */
export async function keep(script, variant) {
  if (!possible()) return;
  try {
    const registration = await navigator.serviceWorker.register(script);
    const kept = keepVariant(variant);
    watch(registration, kept);
    await kept;
    setInterval(() => registration.update().catch(() => {}), ASK_MS);
  } catch {
    // Private windows, strict settings, no network, an engine that did not start.
  }
}

/** @param {() => Promise<string>} variant */
async function keepVariant(variant) {
  const { active } = await navigator.serviceWorker.ready;
  active?.postMessage({ type: 'keep', variant: await variant() });
}

/**
 * @param {ServiceWorkerRegistration} registration
 * @param {Promise<void>} kept this page's last word to its own service worker
 */
function watch(registration, kept) {
  const tell = () => {
    // Without a controller this is the first build, not a newer one.
    if (registration.waiting && navigator.serviceWorker.controller) window.dispatchEvent(new Event('crossover-update'));
  };
  registration.addEventListener('updatefound', () => {
    const worker = registration.installing;
    worker?.addEventListener('statechange', () => {
      if (worker.state === 'installed') tell();
    });
  });
  window.addEventListener('crossover-update-apply', async () => {
    // Chromium lets a worker take over once the one before it rests, and looks only once: one that this page's start
    // wakes after that would put it off for as long as it lives.
    await Promise.race([kept.catch(() => {}), new Promise((resolve) => { setTimeout(resolve, START_MS); })]);
    const { waiting } = registration;
    if (!waiting) {
      window.location.reload();
      return;
    }
    // Once: a worker that changes again must not reload the page again.
    navigator.serviceWorker.addEventListener('controllerchange', () => window.location.reload(), { once: true });
    waiting.postMessage({ type: 'skip' });
  });
  tell();
}

/** Whether the server has another build than this page's by now. @param {string} part a folder of this page's build */
export async function outdated(part) {
  try {
    const response = await fetch(`./?at=${Date.now()}`, { cache: 'no-store' });
    return response.ok && !(await response.text()).includes(part);
  } catch {
    return false;
  }
}

/** Forgets what was kept, so that the next load comes from the server. */
export async function forget() {
  try {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith('crossover-')).map((name) => caches.delete(name)));
    const registration = await navigator.serviceWorker.getRegistration();
    await registration?.update();
  } catch {
    // Then the browser's own rules decide.
  }
}
