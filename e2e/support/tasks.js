// Measures how long the page's own thread is busy at a time.

/**
 * Milliseconds of processor time that each task of the page's thread took while `action` ran. Time during which another
 * program or the race's own threads had the core does not count: it says nothing about the page.
 *
 * @param {import('@playwright/test').Browser} browser Chromium
 * @param {import('@playwright/test').Page} page
 * @param {() => Promise<unknown>} action
 * @returns {Promise<number[]>}
 */
export async function pageTasks(browser, page, action) {
  await browser.startTracing(page, { categories: ['toplevel', '__metadata'] });
  await action();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const thread = ({ pid, tid }) => `${pid}/${tid}`;
  const pages = new Set(traceEvents.filter((event) => event.name === 'thread_name' && event.args.name === 'CrRendererMain').map(thread));
  return traceEvents
    .filter((event) => event.ph === 'X' && event.name === 'ThreadControllerImpl::RunTask' && pages.has(thread(event)))
    .map((event) => event.tdur / 1000);
}
