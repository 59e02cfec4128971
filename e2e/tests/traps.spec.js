// A panic of a wasm module is a trap: a RuntimeError. The tests provoke it with a module of one instruction, since no
// known input makes the page or the engine panic. The error has the same type.

import { test, expect } from '../support/fixtures.js';
import { crashedRace, openApi, race, smallRace } from '../support/api.js';
import { Playground } from '../support/playground.js';

test.use({ expectedErrors: [/unreachable/] });

/** `(module (func (export "trap") unreachable))` */
const TRAP = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4, 116, 114, 97, 112, 0, 0, 10, 5, 1, 3, 0, 0, 11];

/** Runs the module in its own task or in a promise. */
const trap = ([bytes, inPromise]) => {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes)));
  if (inPromise) Promise.resolve().then(exports.trap);
  else setTimeout(exports.trap, 0);
};

for (const inPromise of [false, true]) {
  const where = inPromise ? 'a promise' : 'a task';

  test(`a trap of the engine in ${where} ends the race with an error that says where, and a new race starts`, async ({ page }) => {
    await openApi(page);
    const error = await crashedRace(page, (worker) => worker.evaluate(trap, [TRAP, inPromise]));
    expect(error.code).toBe('worker-crashed');
    expect(error.message).toMatch(/a fault in its code \(unreachable.*wasm-function\[0\]/);
    const { report } = await race(page, { ...smallRace, lengths: [64], backend: 'cpu' });
    expect(report.status).toBe('done');
  });

  test(`a trap of the page in ${where} is shown with text to report and a way on`, async ({ page }) => {
    const playground = new Playground(page);
    await playground.open();
    await expect(page.locator('#panic')).toBeHidden();
    await page.evaluate(trap, [TRAP, inPromise]);
    await expect(page.locator('#panic')).toBeVisible();
    await expect(page.locator('#panic-title')).toHaveText('The page itself failed');
    await expect(page.locator('#panic-text')).toContainText('wasm-function[0]');
    await expect(page.locator('#panic a')).toBeVisible();
  });
}

test.describe('a thread of the pool', () => {
  test.use({ expectedErrors: [/unreachable|signature mismatch|RuntimeError|Failed to load resource/] });

  test('that traps while the engine waits ends the race with its cause', async ({ page }) => {
    // Each thread loads the second module when a race needs it; from then on all of its indirect calls trap.
    await page.route('**/split.js', async (route) => {
      const response = await route.fetch();
      const body = (await response.text()).replace(/export function adopt_code\(code\) \{/, `$&
        const { __indirect_function_table: functions } = getSharedImports().__wasm_split;
        const trap = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([${TRAP}]))).exports.trap;
        for (let index = 1; index < functions.length; index += 1) functions.set(index, trap);
        return;`);
      await route.fulfill({ response, body });
    });
    await openApi(page);
    test.skip(!(await page.evaluate(() => window.api.variant())).startsWith('threads'), 'this browser has one core or no threads');
    const { error } = await race(page, { ...smallRace, systems: ['mega', 'attention'], lengths: [512], backend: 'cpu' });
    expect(error.code).toBe('worker-crashed');
    expect(error.message).toMatch(/a fault in its code \(.*on a thread\)/);
    await page.unrouteAll();
    // The new engine's threads work.
    expect((await race(page, { ...smallRace, lengths: [64], backend: 'cpu' })).report.status).toBe('done');
  });

  test('without a script leaves the race to one thread', async ({ page }) => {
    // The browser requests a thread's script without Playwright's interception.
    await page.route('**/worker-boot.js', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: (await response.text()).replace('./thread.js', './gone.js') });
    });
    await openApi(page);
    const { report } = await race(page, { ...smallRace, lengths: [64], backend: 'cpu' });
    expect([report.status, report.environment.threads]).toEqual(['done', 1]);
  });
});

test.describe('in Chinese', () => {
  test.use({ locale: 'zh-CN' });

  test('a trap of the page is titled in the language of the page', async ({ page }) => {
    await new Playground(page).open();
    await page.evaluate(trap, [TRAP, false]);
    await expect(page.locator('#panic-title')).toHaveText('页面本身出错了');
  });
});

test('an error that is no trap shows no box', async ({ page }) => {
  await new Playground(page).open();
  await page.evaluate(() => { Promise.reject(new Error('unreachable network')); });
  await page.waitForTimeout(300);
  await expect(page.locator('#panic')).toBeHidden();
});
