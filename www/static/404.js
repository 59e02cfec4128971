// The page for missing addresses. Hosts send it for any path, so it looks for this script in its own folder and the
// folders above; the script's folder is the site's.

(() => {
  const root = document.documentElement;
  if (root.dataset.site) return;
  const site = new URL('./', document.currentScript.src).href;
  root.dataset.site = site;

  // A share link whose `#` was escaped, once or several times. The page undoes all other escapes.
  const escaped = /\/%(?:25)*23r(.*)$/i.exec(location.pathname);
  if (escaped) {
    location.replace(`${site}#r${escaped[1]}`);
    return;
  }

  const style = document.createElement('link');
  style.rel = 'stylesheet';
  style.href = new URL('{{assets}}/crossover.css', document.currentScript.src).href;
  document.head.append(style);
  addEventListener('DOMContentLoaded', () => {
    for (const link of document.querySelectorAll('[data-home]')) link.href = site;
  });
})();
