// The code that the worker loads on demand: the systems beyond those of the initial page, and links.

import { test, expect } from '../support/fixtures.js';
import { openApi, race, smallRace } from '../support/api.js';

const small = { ...smallRace, lengths: [64, 256], backend: 'cpu' };
const outcomes = ({ report }) =>
  report.lanes.map((lane) => [lane.system, lane.points.map((point) => point.outcome).join(), lane.points[0].message ?? '']);

for (const isolated of [true, false]) {
  test.describe(isolated ? 'with threads' : 'without threads', () => {
    /** Counts requests for the second module, and answers 404 while it is `missing`. */
    async function open(page) {
      const module = { asked: 0, missing: false };
      await page.route('**/split_later.wasm', async (route) => {
        module.asked += 1;
        if (module.missing) await route.fulfill({ status: 404, body: 'gone' });
        else await route.continue();
      });
      await openApi(page, process.env.CROSSOVER_URL, isolated);
      expect(await page.evaluate(() => window.crossOriginIsolated)).toBe(isolated);
      return module;
    }

    test('only a race that needs it loads it, once', async ({ page }) => {
      const module = await open(page);
      const first = await race(page, small);
      // A variant that does not start is silently replaced by the next one.
      expect(first.report.environment.build).toContain(isolated ? 'threads-' : ' ');
      expect(outcomes(first)).toEqual([['attention', 'ok,ok', ''], ['hyena', 'ok,ok', '']]);
      expect(module.asked).toBe(0);
      for (const systems of [['mega', 'attention'], ['reformer', 'performer']]) {
        const activities = await page.evaluate(async (config) => {
          const seen = new Set();
          await window.api.race(config, { onEvent: (event) => event.type === 'progress' && seen.add(event.activity) });
          return [...seen];
        }, { ...small, systems });
        expect(activities.includes('loading')).toBe(systems[0] === 'mega');
      }
      expect(module.asked).toBe(1);
    });

    test.describe('where it cannot be loaded', () => {
      test.use({ expectedErrors: [/Failed to load resource|HTTP 404/] });

      test('lanes that need it state the reason, and the next race retries', async ({ page }) => {
        const module = await open(page);
        module.missing = true;
        const config = { ...small, systems: ['attention', 'mega', 'hyena'] };
        const [attention, mega, hyena] = outcomes(await race(page, config));
        expect([attention, hyena]).toEqual([['attention', 'ok,ok', ''], ['hyena', 'ok,ok', '']]);
        expect(mega[1]).toBe('failed,failed');
        expect(mega[2]).toContain('the code of Mega could not be loaded; check the connection');
        const link = await page.evaluate(() => window.api.decodeLink('#c=x').then(() => '', (error) => error.code));
        expect(link).toBe('not-loaded');
        module.missing = false;
        expect(outcomes(await race(page, config)).map(([, outcome]) => outcome)).toEqual(['ok,ok', 'ok,ok', 'ok,ok']);
      });
    });
  });
}
