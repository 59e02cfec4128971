// After a deployment, the server no longer has the files of an open page. Parts of the page that are not loaded yet
// cannot be loaded any more, and a reload would lose a race that this page cannot show. The race is therefore stored
// among the past runs before a reload is offered, and the new page lists it.
//
// @ts-check

/** A race's newest report, closed where the race still runs; `race` tells races apart, `over` whether it has ended. */
/** @typedef {{ race: number, report: any, over: boolean }} Snapshot */

/**
 * @typedef {object} Page
 * @property {(listener: (snapshot: Snapshot) => void) => void} watchRaces calls back with every report of a race
 * @property {() => Promise<any>} history loads `history.js`, or has it
 * @property {() => Promise<boolean>} outdated whether the server has another build by now
 * @property {() => Promise<void>} forget empties what the service worker kept
 */

/** Most lane names in the name of a run. */
const NAMES = 3;

/** State before the first race. @type {Snapshot} */
const NONE = { race: 0, report: undefined, over: true };

/** Lanes' names, as in the page's names for runs. @param {any} report */
function name(report) {
  const titles = [...new Set(report.lanes.map((/** @type {any} */ lane) => lane.title))];
  const more = titles.length - NAMES;
  return `${titles.slice(0, NAMES).join(', ')}${more > 0 ? ` +${more}` : ''}`.slice(0, 60);
}

/** @param {any} report */
const measured = (report) => report.lanes.some((/** @type {any} */ lane) => lane.points.some((/** @type {any} */ point) => point.medianMs !== null));

/**
 * Stores the race while a part of the page is missing, and reports the result. The page dispatches
 * `crossover-part-missing` and `crossover-part-here`, and requests a reload by `crossover-reload`. It listens to
 * `crossover-part-told`, whose detail has `gone` (whether the files belong to an older build) and `race` (`kept`,
 * `lost` or empty).
 * @param {Page} page
 */
export function rescue({ watchRaces, history, outdated, forget }) {
  let last = NONE;
  /** Stored runs by race. @type {Map<number, number>} */
  const kept = new Map();
  /** @type {any} */
  let written;
  let missing = false;
  let gone = false;
  let telling = false;
  let writing = Promise.resolve('');

  /** One write at a time: the first write of a race returns the number of its run. */
  function keep() {
    writing = writing.then(write);
    return writing;
  }

  async function write() {
    const snapshot = last;
    if (snapshot === NONE || !measured(snapshot.report)) return '';
    if (written === snapshot.report) return 'kept';
    try {
      const { keep } = await history();
      kept.set(snapshot.race, await keep(kept.get(snapshot.race), name(snapshot.report), Date.now(), '', JSON.stringify(snapshot.report)));
      written = snapshot.report;
      return 'kept';
    } catch {
      return 'lost';
    }
  }

  /** Stores the newest report, one write at a time, and reports the result. */
  async function tell() {
    if (telling) return;
    telling = true;
    let told;
    // Reports that arrive during a write are written after it.
    while (missing && told !== last) {
      told = last;
      const race = await keep();
      if (missing) window.dispatchEvent(new CustomEvent('crossover-part-told', { detail: { gone: gone ? 'gone' : '', race } }));
    }
    telling = false;
  }

  watchRaces((snapshot) => {
    last = snapshot;
    if (missing) tell();
  });
  window.addEventListener('crossover-part-missing', async () => {
    missing = true;
    gone = await outdated();
    tell();
  });
  window.addEventListener('crossover-part-here', async () => {
    missing = false;
    // From now on the page stores its races itself.
    const runs = [...kept.values()];
    kept.clear();
    written = undefined;
    for (const run of runs) await history().then(({ remove }) => remove(run)).catch(() => {});
  });
  window.addEventListener('crossover-reload', async () => {
    if (missing) await keep();
    await forget();
    window.location.reload();
  });
}
