// Results as files and links, for specs that need results without running a race.

import { readFile } from 'node:fs/promises';
import { expect } from './fixtures.js';
import { Playground } from './playground.js';
import { root } from './server.js';

const recorded = async (name) => JSON.parse(await readFile(`${root}/crates/chart/tests/fixtures/${name}.json`, 'utf8'));

/** A recorded duel of attention and Hyena. */
export const duel = () => recorded('duel');

/** A recorded race in which a lane drops out. */
export const wall = () => recorded('wall');

/** The duel as an older version recorded it: without intervals and verdicts. */
export async function old() {
  const report = await duel();
  report.schema = 1;
  for (const point of report.lanes.flatMap((lane) => lane.points)) {
    for (const field of ['lowMs', 'highMs', 'setUps', 'versus']) delete point[field];
  }
  return report;
}

/** The duel on a machine `factor` times as fast. */
export async function faster(factor) {
  const report = await duel();
  for (const point of report.lanes.flatMap((lane) => lane.points)) {
    for (const field of ['medianMs', 'q1Ms', 'q3Ms', 'minMs', 'lowMs', 'highMs']) if (point[field] !== null) point[field] /= factor;
  }
  return report;
}

/** A report in the form that Playwright sets into a file field. */
export const file = (name, content) => ({
  name,
  mimeType: 'application/json',
  buffer: Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
});

/** Drops files or text on the page. */
export async function drop(page, { files = [], text = '' }) {
  const data = await page.evaluateHandle(
    ([files, text]) => {
      const data = new DataTransfer();
      for (const { name, content, bytes } of files) {
        data.items.add(new File([bytes ? 'x'.repeat(bytes) : content], name, { type: 'application/json' }));
      }
      if (text) data.setData('text/plain', text);
      return data;
    },
    [files, text],
  );
  await page.dispatchEvent('main', 'dragover', { dataTransfer: data });
  await page.dispatchEvent('main', 'drop', { dataTransfer: data });
}

/** Text of every cell of the results table. */
export const cells = (page) => page.getByTestId('results-table').getByRole('row').allInnerTexts();

/** Opens the recorded duel in the playground. */
export async function openDuel(page) {
  const playground = new Playground(page);
  await playground.open();
  await drop(page, { files: [{ name: 'duel.json', content: JSON.stringify(await duel()) }] });
  await expect(page.getByTestId('opened')).toBeVisible();
  return playground;
}
