// Threads and the fine clock need a cross-origin isolated page. Where the host does not send the headers for that, a
// service worker adds them, which takes one reload. Everything works without, more slowly.

import { possible } from './offline.js';

const MARKER = 'crossover.isolation';

/** How long a browser may take to start the service worker before the page goes on without. */
const PATIENCE_MS = 3000;

/** Registers the service worker and reloads the page once, where that can help. Never rejects, never hangs. */
export async function isolate(serviceWorker) {
  if (window.crossOriginIsolated || !possible()) return;
  try {
    // A browser that loaded the page again and is still not isolated won't be the next time either.
    if (sessionStorage.getItem(MARKER) !== null) return;
    await navigator.serviceWorker.register(serviceWorker);
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    if (!(await Promise.race([navigator.serviceWorker.ready, patience]))) return;
    sessionStorage.setItem(MARKER, 'reloaded');
    window.location.reload();
    // Nothing may start on a page that is about to go.
    await patience;
  } catch {
    // Private windows and strict settings refuse registration or storage: one thread, then.
  }
}
