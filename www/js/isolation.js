// Threads and the fine clock need a cross-origin isolated page. Where the host does not send the necessary headers, a
// service worker adds them, which takes one reload. Without isolation everything works, but more slowly.

import { possible } from './offline.js';

const MARKER = 'crossover.isolation';

/** Time for a browser to start the service worker before the page continues without it, in milliseconds. */
const PATIENCE_MS = 3000;

/** Registers the service worker and reloads the page once, where that can help. Never rejects and never hangs. */
export async function isolate(serviceWorker) {
  if (window.crossOriginIsolated || !possible()) return;
  try {
    // If the page is not isolated after a reload, another reload will not help.
    if (sessionStorage.getItem(MARKER) !== null) return;
    await navigator.serviceWorker.register(serviceWorker);
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    if (!(await Promise.race([navigator.serviceWorker.ready, patience]))) return;
    sessionStorage.setItem(MARKER, 'reloaded');
    window.location.reload();
    // Nothing may start on a page that is about to reload.
    await patience;
  } catch {
    // Private windows and strict settings refuse registration or storage. The page then uses one thread.
  }
}
