import { isolate } from './js/isolation.js';
import { forget, keep, outdated } from './js/offline.js';
import { rescue } from './js/rescue.js';
import { keepTranslated } from './js/translated.js';
import { shown, watchTraps } from './js/traps.js';

// Starts the page: first the engine's client, under a name that other scripts may use, then the page's module. Other
// parts of the page are loaded on demand, except past runs: after a deployment, a race can be stored only by code that
// is already loaded.
let runs = import('./js/history.js');
runs.catch(() => {});
const history = () => {
  runs = runs.catch(() => import('./js/history.js'));
  return runs;
};
window.crossoverParts = { files: () => import('./js/files.js'), history };
// The last two parts of the path: the folder's name and its hash.
const gone = () => outdated('{{page}}'.split('/').slice(-2).join('/'));

// The page's second module reads links before anything is shown, so it is loaded beside the first one.
if (window.location.hash) {
  const link = document.createElement('link');
  link.rel = 'preload';
  link.as = 'fetch';
  link.crossOrigin = 'anonymous';
  link.href = new URL('{{page}}/split_rest.wasm', import.meta.url).href;
  document.head.append(link);
}

const chinese = navigator.languages?.find((tag) => /^(en|zh)\b/i.test(tag))?.toLowerCase().startsWith('zh');
const WORDS = {
  title: chinese ? '页面无法加载' : 'The page could not be loaded',
  reload: chinese ? '重新加载页面' : 'Reload the page',
  newer: chinese
    ? 'Crossover 已有新版本，此页面的文件已不存在。请重新加载以获取新版本。'
    : 'A newer version of Crossover was put online, and the files of this page are gone. Reload to get it.',
  blocked: chinese
    ? '代理、扩展程序或网络可能阻止了此文件。'
    : 'A proxy, an extension or the connection may be blocking this file.',
  wasm: chinese ? '此浏览器没有 WebAssembly，或已将其关闭。' : 'This browser has no WebAssembly, or it is switched off.',
};

const fail = async (error) => {
  if (shown(error)) return;
  const place = document.getElementById('panic');
  const words = [String(error?.message ?? error)];
  if (await gone()) words.unshift(WORDS.newer);
  else if (typeof WebAssembly === 'object') words.push(WORDS.blocked);
  if (chinese) document.documentElement.lang = 'zh-Hans';
  document.getElementById('panic-title').textContent = WORDS.title;
  document.getElementById('panic-text').textContent = words.join('\n\n');
  const again = place.querySelector('a');
  again.textContent = WORDS.reload;
  again.addEventListener('click', async (event) => {
    event.preventDefault();
    await forget();
    window.location.reload();
  });
  document.getElementById('example')?.removeAttribute('hidden');
  place.hidden = false;
};

const serviceWorker = new URL('{{root}}/sw.js', import.meta.url);
try {
  if (typeof WebAssembly !== 'object') throw new Error(WORDS.wasm);
  // Runs before the page has any state worth keeping, since it may reload the page.
  await isolate(serviceWorker);
  const [crossover, page] = await Promise.all([import('{{root}}/crossover.js'), import('{{page}}/www.js')]);
  window.crossover = crossover;
  watchTraps();
  rescue({ watchRaces: crossover.watchRaces, history, outdated: gone, forget });
  keepTranslated(document.body);
  await page.default();
  await page.open();
  keep(serviceWorker, crossover.variant);
} catch (error) {
  fail(error);
}
