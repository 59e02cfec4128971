// Races of generated tokens: set up on the page, raced on both backends, shared, and asked for through the API.

import { openApi, race } from '../support/api.js';
import { violations } from '../support/axe.js';
import { test, expect } from '../support/fixtures.js';
import { Playground } from '../support/playground.js';
import { cells } from '../support/results.js';

/** A race that takes seconds. */
const small = {
  mode: 'decode',
  systems: ['attention', 'hyena', 'cfc'],
  contexts: [32, 64, 128],
  tokens: 16,
  width: 32,
  heads: 2,
  backend: 'cpu',
  budgetMs: 120_000,
};

const decodes = (page) => page.getByTestId('config-mode-decode');

test('the next token is a choice above the set-up, with its own fields and words', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await expect(page.getByText('Sequence lengths')).toBeVisible();
  await playground.choose('mode', 'decode');
  for (const word of ['Context lengths', 'Generated tokens']) await expect(page.getByText(word, { exact: true }).first()).toBeVisible();
  await expect(page.getByText('Sequence lengths')).toBeHidden();
  expect(await violations(page)).toEqual([]);
  // Arrow keys move between the two modes.
  await decodes(page).focus();
  await page.keyboard.press('ArrowLeft');
  await expect(page.getByText('Sequence lengths')).toBeVisible();
});

test('a race of generated tokens ends with its state and its prefill, and opens elsewhere', async ({ page, browser }) => {
  await openApi(page);
  const { report, error } = await race(page, small);
  expect(error).toBeUndefined();
  expect(report.config.contexts).toEqual(small.contexts);
  expect(report.config.lengths).toBeUndefined();
  for (const lane of report.lanes) {
    expect(lane.verification.pass, lane.system).toBe(true);
    for (const point of lane.points) {
      expect([point.outcome, point.verified.pass], `${lane.system} at ${point.length}: ${point.message}`).toEqual(['ok', true]);
      expect(point.decode.stateBytes).toBeGreaterThan(0);
      expect(point.medianMs).toBeGreaterThan(0);
    }
    // A prefill that the machine disturbed, or that is shorter than the clock can tell, is left out.
    expect(lane.points.some(({ decode }) => decode.prefillMs > 0), lane.system).toBe(true);
  }
  const states = (index) => report.lanes[index].points.map(({ decode }) => decode.stateBytes);
  // A cache of 2 · (context + tokens) · width floats, and a state that does not grow.
  expect(states(0)).toEqual(small.contexts.map((context) => 4 * 2 * (context + small.tokens) * small.width));
  expect(new Set(states(2)).size).toBe(1);

  const link = await page.evaluate((given) => window.api.encodeLink(given), report);
  expect(link).toMatch(/#r=5[\w-]+$/);
  const context = await browser.newContext();
  const other = await context.newPage();
  const there = new Playground(other);
  await there.open(`${process.env.CROSSOVER_URL}#${link.split('#')[1]}`);
  await expect(other.getByTestId('opened')).toBeVisible();
  expect((await cells(other)).length).toBeGreaterThan(0);
  await expect(other.getByTestId('results-table')).toContainText('Prefill');
  for (const part of ['results-table', 'chart', 'headline']) await expect(other.getByTestId(part)).not.toContainText('forward pass');
  await context.close();
});

test('generated tokens race on the GPU too', async ({ page }) => {
  await openApi(page);
  const { report } = await race(page, { ...small, systems: ['attention', 'performer'], contexts: [48], tokens: 8, backend: 'webgpu', budgetMs: 240_000 });
  for (const lane of report.lanes) {
    expect([lane.backend, lane.points[0].outcome, lane.points[0].verified?.pass], lane.points[0].message).toEqual(['webgpu', 'ok', true]);
  }
});

test('a system without a next token says why', async ({ page }) => {
  await openApi(page);
  const { report } = await race(page, { ...small, systems: ['attention', 'linformer', 'reformer'] });
  const [, linformer, reformer] = report.lanes.map(({ points }) => points[0]);
  expect([linformer.outcome, reformer.outcome]).toEqual(['unsupported', 'unsupported']);
  expect(linformer.message).toContain('later tokens');
  expect(reformer.message).toContain('another function');
});

test('fields of the other mode, empty contexts and odd heads are refused by name', async ({ page }) => {
  await openApi(page);
  const field = async (config) => (await race(page, { ...small, ...config })).error;
  const { contexts, tokens, ...bare } = small;
  for (const [config, name] of [
    [{ contexts: [0] }, 'contexts'],
    [{ contexts: [] }, 'contexts'],
    [{ tokens: 0 }, 'tokens'],
    [{ causal: false }, 'causal'],
    [{ lengths: [64] }, 'lengths'],
  ]) {
    expect((await field(config))?.field, JSON.stringify(config)).toBe(name);
  }
  const forward = await race(page, { ...bare, mode: 'forward', contexts, tokens });
  expect(['contexts', 'tokens']).toContain(forward.error?.field);
  const { report } = await race(page, { ...small, systems: [{ system: 'attention', params: { kv_heads: 3 } }], contexts: [32] });
  expect(report.lanes[0].points[0].outcome).not.toBe('ok');
  expect(report.lanes[0].points[0].message).toContain('kv_heads');
});
