import { isolate } from './js/isolation.js';

// Starts the page: the engine's client first, at the name that other scripts may use too, then the page's module.
// Parts that the page loads when it needs them.
window.crossoverParts = {
  files: () => import('./js/files.js'),
  history: () => import('./js/history.js'),
};

const fail = (error) => {
  const place = document.getElementById('panic');
  document.getElementById('panic-text').textContent = String(error?.message ?? error);
  document.getElementById('example')?.removeAttribute('hidden');
  place.hidden = false;
};

try {
  // Before anything of worth is on the page: it may reload it.
  await isolate(new URL('{{root}}/sw.js', import.meta.url));
  const [crossover, page] = await Promise.all([import('{{root}}/crossover.js'), import('{{page}}/www.js')]);
  window.crossover = crossover;
  await page.default();
} catch (error) {
  fail(error);
}
