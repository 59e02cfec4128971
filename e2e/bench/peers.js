// The contest at one length: all outputs are compared first, then all contenders are timed, round by round.

import { CONTENDERS } from './contenders.js';

/** Largest difference of an output that counts as correct in f32. Some peers use inaccurate roots of unity. */
export const TOLERANCES = { attention: 1e-4, hyena: 1e-2, decode: 1e-4 };
/** Smallest time limit of a call in ms. Calls that run passes get a multiple of the pass limit in addition. */
const LEAST_PATIENCE_MS = 120_000;

/**
 * A page that runs `call`s and rejects those that take too long. It has its own Chromium: a library that crashes the
 * GPU process or the browser affects only its own row.
 */
class ContenderPage {
  constructor(launch, url, parameters) {
    Object.assign(this, { launch, url, parameters, browser: null, page: null });
  }

  async open() {
    this.browser = await this.launch();
    this.page = await this.browser.newPage();
    this.errors = [];
    this.page.on('pageerror', (error) => this.errors.push(error.message));
    await this.page.goto(`${this.url}bench/index.html?${new URLSearchParams(this.parameters)}`);
    await this.page.waitForFunction(() => window.bench).catch((error) => {
      throw new Error(this.errors[0] ?? error.message);
    });
  }

  async call(method, args, patienceMs = LEAST_PATIENCE_MS) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${Math.round(patienceMs / 1000)} s`)), patienceMs);
    });
    try {
      if (!this.page) await this.open();
      return await Promise.race([this.page.evaluate(([name, given]) => window.bench[name](...given), [method, args]), late]);
    } catch (error) {
      const ended = this.browser && !this.browser.isConnected();
      // A failed call may leave its library in any state.
      await this.close();
      throw new Error(ended ? 'its Chromium ended' : reason(error));
    } finally {
      clearTimeout(timer);
    }
  }

  async close() {
    await this.browser?.close().catch(() => {});
    this.browser = null;
    this.page = null;
  }
}

/** First line of an error without the driver's prefix. */
function reason(error) {
  const text = String(error?.message ?? error).replace(/^page\.evaluate: /, '');
  return text.split('\n')[0].slice(0, 160);
}

export class Contest {
  /** `launch` opens a Chromium. */
  constructor(launch, url, { backends, software, rounds, passLimitMs, log }) {
    Object.assign(this, { rounds, passLimitMs, log });
    this.entries = CONTENDERS.filter((one) => backends.includes(one.on) && (software || !one.software)).map((contender) => {
      return { ...contender, page: new ContenderPage(launch, url, contender.page), last: {} };
    });
  }

  /** The reason why `entry` is skipped at this length: a pass would take too long. Null otherwise. */
  tooLong(entry, { work, length, causal }) {
    const last = entry.last[`${work} ${causal}`];
    const expected = last ? last.ms * (length / last.length) ** (work === 'attention' ? 2 : 1) : 0;
    return expected > this.passLimitMs ? `not run: a pass would take about ${(expected / 1000).toFixed(0)} s` : null;
  }

  /** @returns one row per contender: its times by round and the differences of its output, or a reason. */
  async run(problem) {
    const rows = [];
    const asked = ({ works = [], only }) => works.includes(problem.work) || (problem.work === 'attention' && !only);
    for (const entry of this.entries.filter(asked)) {
      const row = { entry, times: [], note: this.tooLong(entry, problem), fromReference: null, fromOthers: null };
      rows.push(row);
      if (row.note) continue;
      try {
        const tolerance = TOLERANCES[problem.work];
        Object.assign(row, await entry.page.call('prepare', [{ ...problem, tolerance }, entry.variant]));
        // `!(a <= b)` is also true for NaN.
        const far = [row.fromReference, row.fromOthers].find((value) => value !== null && !(value <= tolerance));
        if (far !== undefined) row.note = `wrong: its output differs by ${Number(far).toPrecision(2)}`;
        else if (row.fromReference === null && row.fromOthers === null) row.note = 'not compared: no peer gave an output';
      } catch (error) {
        row.note = `fails: ${reason(error)}`;
      }
      this.log(`  ${entry.name}: ${row.note ?? `differs by ${(row.fromOthers ?? row.fromReference).toExponential(1)}`}`);
    }
    for (let round = 0; round < this.rounds; round += 1) await this.round(problem, rows, round);
    for (const { page } of this.entries) {
      if (page.page) await page.call('free', []).catch(() => {});
    }
    return rows;
  }

  /** Runs every contender once, in an order that changes from round to round. */
  async round(problem, rows, round) {
    const racing = rows.filter(({ note }) => !note);
    for (let index = 0; index < racing.length; index += 1) {
      const row = racing[(index + round) % racing.length];
      if (row.note) continue;
      const { entry } = row;
      try {
        const { ms } = await entry.page.call('run', [problem], LEAST_PATIENCE_MS + 20 * this.passLimitMs);
        row.times[round] = ms;
        entry.last[`${problem.work} ${problem.causal}`] = { ms, length: problem.length };
      } catch (error) {
        row.note = `fails: ${reason(error)}`;
      }
    }
    this.log(`  round ${round + 1}: ${racing.map(({ entry, times }) => `${entry.name} ${times[round]?.toFixed(1) ?? '–'}`).join(' · ')}`);
  }

  async close() {
    for (const { page } of this.entries) await page.close();
  }
}
