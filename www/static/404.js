// The page for addresses that are not there. Hosts send it under any path, so it asks for this script in its own folder
// and in those above; where the script was found is where the site is.

(() => {
  const root = document.documentElement;
  if (root.dataset.site) return;
  const site = new URL('./', document.currentScript.src).href;
  root.dataset.site = site;

  // A share link whose `#` was escaped, once or several times: the page undoes the other escapes.
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
