// The page's side of the service worker: has it store this build for use without a network, and tells the page when a
// newer build is available. Files of an open page are never replaced: the reader triggers the update.
//
// @ts-check

/** Interval at which an open page asks for a newer build, in milliseconds. */
const ASK_MS = 60 * 60 * 1000;

/** Time for which a newer build waits for the end of this page's start before it takes over, in milliseconds. */
const START_MS = 5000;

/** Whether this page may have a service worker: not inside a frame, where the host decides. */
export function possible() {
  return window.isSecureContext && window.top === window.self && 'serviceWorker' in navigator;
}

/**
 * Stores this build and watches for a newer one. Never rejects: where workers or storage are refused, the page simply
 * needs its network.
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
    // Private windows, strict settings, no network, or an engine that did not start.
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
    // Without a controller this is the first build and not a newer one.
    if (registration.waiting && navigator.serviceWorker.controller) window.dispatchEvent(new Event('crossover-update'));
  };
  registration.addEventListener('updatefound', () => {
    const worker = registration.installing;
    worker?.addEventListener('statechange', () => {
      if (worker.state === 'installed') tell();
    });
  });
  window.addEventListener('crossover-update-apply', async () => {
    // Chromium lets a worker take over once the previous one is idle, and checks only once. If this page's start woke
    // the previous worker after that check, the update would be delayed for as long as that worker lives.
    await Promise.race([kept.catch(() => {}), new Promise((resolve) => { setTimeout(resolve, START_MS); })]);
    const { waiting } = registration;
    if (!waiting) {
      window.location.reload();
      return;
    }
    // Once: a further change of the worker must not reload the page again.
    navigator.serviceWorker.addEventListener('controllerchange', () => window.location.reload(), { once: true });
    waiting.postMessage({ type: 'skip' });
  });
  tell();
}

/** Whether the server has another build than this page's. @param {string} part a folder of this page's build */
export async function outdated(part) {
  try {
    const response = await fetch(`./?at=${Date.now()}`, { cache: 'no-store' });
    return response.ok && !(await response.text()).includes(part);
  } catch {
    return false;
  }
}

/** Deletes the stored files, so that the next load comes from the server. */
export async function forget() {
  try {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name.startsWith('crossover-')).map((name) => caches.delete(name)));
    const registration = await navigator.serviceWorker.getRegistration();
    await registration?.update();
  } catch {
    // The browser's own rules then apply.
  }
}
