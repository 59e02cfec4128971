// Recorded reports are shown with their own verdicts and no others. Nothing here depends on measurements.

import { test, expect } from '../support/fixtures.js';
import { Playground } from '../support/playground.js';
import { drop, duel, old } from '../support/results.js';

async function opened(page, report) {
  const playground = new Playground(page);
  await playground.open();
  await drop(page, { files: [{ name: 'report.json', content: JSON.stringify(report) }] });
  await expect(page.getByTestId('opened')).toBeVisible();
  return playground;
}

const undecided = { baseline: 0, speedup: 7.026, low: 0.9, high: 20, verdict: 'undecided' };

test('undecided results are named in headline, table and links', async ({ page }) => {
  const report = await duel();
  report.crossovers[0] = { ...report.crossovers[0], kind: 'undecided', estimate: null, low: null, high: null };
  report.lanes[1].points.at(-1).versus = undecided;
  const playground = await opened(page, report);
  await expect(playground.headline).toContainText('Undecided: whether Hyena overtakes attention');
  await expect(playground.headline).not.toContainText('faster');
  // A link widens an interval by an eighth of its half width at most.
  await expect(playground.table).toContainText(/undecided \(0\.8\d–2\d×\)/);
  await expect(playground.chart.locator('.crossover')).toHaveCount(0);
  const link = await page.evaluate((report) => window.crossover.encodeLink(report), report);
  const { report: back } = await page.evaluate((link) => window.crossover.decodeLink(link), link);
  expect(back.crossovers[0].kind).toBe('undecided');
  expect(back.lanes[1].points.map((point) => point.versus.verdict)).toEqual(report.lanes[1].points.map((point) => point.versus.verdict));
});

test('a lead from the shortest length on is a bound', async ({ page }) => {
  const report = await duel();
  report.crossovers[0] = { ...report.crossovers[0], kind: 'at-most', estimate: 256, low: 256, high: 256 };
  const playground = await opened(page, report);
  await expect(playground.headline).toContainText('from 256 tokens on, the shortest length raced');
  await expect(playground.chart).toContainText('≤ 256');
});

test('an older result shows its ratios and names no winner', async ({ page }) => {
  const report = await old();
  report.crossovers[0] = { ...report.crossovers[0], kind: 'none', estimate: null, low: null, high: null };
  const playground = await opened(page, report);
  await expect(playground.headline).toContainText('has no interval');
  // A link widens an interval by an eighth of its half width at most.
  await expect(playground.table).toContainText('as fast, no interval');
  for (const part of [playground.headline, playground.table]) await expect(part).not.toContainText(/faster|slower/);
});

test('full attention is marked, and a lane without time states its need', async ({ page }) => {
  const report = await duel();
  report.lanes[1].points[0].fullAttention = true;
  const last = report.lanes[1].points.at(-1);
  for (const field of Object.keys(last)) if (field.endsWith('Ms')) last[field] = null;
  Object.assign(last, { outcome: 'time-budget', message: null, versus: null, verified: null, neededMs: 12_300 });
  const playground = await opened(page, report);
  await expect(playground.chart.locator('.ring')).toHaveCount(1);
  // A link widens an interval by an eighth of its half width at most.
  await expect(playground.table).toContainText('full attention');
  // A link widens an interval by an eighth of its half width at most.
  await expect(playground.table).toContainText('needs about 12.3');
});
