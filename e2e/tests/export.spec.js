// Exports: every format downloads and can be read by its target program.

import { readFile } from 'node:fs/promises';
import { test, expect } from '../support/fixtures.js';
import { violations } from '../support/axe.js';
import { duel, openDuel } from '../support/results.js';

async function opened(page) {
  await openDuel(page);
  await page.getByTestId('export').click();
  await expect(page.getByTestId('export-dialog')).toBeVisible();
}

async function download(page, form) {
  const [saved] = await Promise.all([page.waitForEvent('download'), page.getByTestId(`download-${form}`).click()]);
  expect(saved.suggestedFilename()).toMatch(new RegExp(`^crossover-[a-z0-9-]+\\.${form}$`));
  await expect(page.getByTestId('export-status')).toContainText(saved.suggestedFilename());
  return readFile(await saved.path());
}

test('JSON downloads, and is the report', async ({ page }) => {
  await opened(page);
  // Derived values are computed again.
  const plain = (report) => JSON.parse(JSON.stringify(report, (key, value) => (key === 'rooflineShare' ? undefined : value)));
  // The recorded race has an older format, so newer fields may be added.
  expect(plain(JSON.parse((await download(page, 'json')).toString()))).toMatchObject(plain(await duel()));
});

test('CSV downloads, with a mark for spreadsheets and a row per point', async ({ page }) => {
  await opened(page);
  const text = (await download(page, 'csv')).toString();
  expect(text.startsWith('\ufeffsystem,backend,')).toBe(true);
  const points = (await duel()).lanes.flatMap((lane) => lane.points).length;
  expect(text.trim().split('\r\n')).toHaveLength(points + 1);
});

test('Markdown and BibTeX download', async ({ page }) => {
  await opened(page);
  expect((await download(page, 'md')).toString()).toMatch(/^\| length \| Attention/);
  const bibliography = (await download(page, 'bib')).toString();
  expect(bibliography).toContain('vaswani2017attention');
  expect(bibliography.match(/^@/gm)).toHaveLength(2);
});

test('a downloaded SVG renders without the page', async ({ page, context }) => {
  await opened(page);
  const svg = (await download(page, 'svg')).toString();
  expect(svg).toContain('xmlns="http://www.w3.org/2000/svg"');
  const alone = await context.newPage();
  await alone.setContent(`<body style="margin:0"><img src="data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}">`);
  const size = await alone.evaluate(async () => {
    const image = document.querySelector('img');
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
  });
  expect(size[0]).toBe(760);
  expect(size[1]).toBeGreaterThan(400);
  // No text extends beyond the figure.
  await alone.setContent(`<body style="margin:0">${svg}`);
  const cut = await alone.evaluate(() => {
    const [width, height] = ['width', 'height'].map((side) => document.querySelector('svg').getBoundingClientRect()[side]);
    return [...document.querySelectorAll('svg text')]
      .filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < 0 || box.top < 0 || box.right > width || box.bottom > height;
      })
      .map((text) => text.textContent);
  });
  expect(cut).toEqual([]);
});

test('a downloaded PNG has triple resolution on a white background', async ({ page, context }) => {
  await opened(page);
  const png = await download(page, 'png');
  expect(png.subarray(1, 4).toString()).toBe('PNG');
  expect(png.readUInt32BE(16)).toBe(2280);
  const alone = await context.newPage();
  const corner = await alone.evaluate(async (base64) => {
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const inked = context.getImageData(0, 0, canvas.width, canvas.height).data.filter((value, index) => index % 4 < 3 && value < 128).length;
    return { pixel: [...context.getImageData(2, 2, 1, 1).data], inked };
  }, png.toString('base64'));
  expect(corner.pixel).toEqual([255, 255, 255, 255]);
  expect(corner.inked).toBeGreaterThan(5000);
});

test('formats are copied, or a download is suggested (fault 32)', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await opened(page);
  await page.getByTestId('copy-md').click();
  await expect(page.getByTestId('export-status')).toContainText('Markdown');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^\| length/);
  await page.getByTestId('copy-png').click();
  await expect(page.getByTestId('export-status')).toContainText('PNG');
  expect(await page.evaluate(async () => (await navigator.clipboard.read())[0].types)).toContain('image/png');
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException('denied', 'NotAllowedError'));
  });
  await page.getByTestId('copy-csv').click();
  await expect(page.getByTestId('export-status')).toContainText('Download');
});

test('refused downloads are reported (fault 32)', async ({ page }) => {
  await opened(page);
  await page.evaluate(() => {
    URL.createObjectURL = () => {
      throw new DOMException('refused', 'SecurityError');
    };
  });
  await page.getByTestId('download-csv').click();
  await expect(page.getByTestId('export-status')).toContainText('SecurityError');
  await expect(page.getByTestId('export-status')).toContainText('Copy');
});

test('the exported report matches the published schema', async ({ page, request }) => {
  await opened(page);
  const schema = await (await request.get('report.schema.json')).json();
  expect(schema.$schema).toContain('2020-12');
  const report = JSON.parse((await download(page, 'json')).toString());
  for (const name of schema.required) expect(report, name).toHaveProperty(name);
});

for (const scheme of ['light', 'dark']) {
  test(`axe finds nothing in the export dialog, ${scheme}`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: scheme });
    await opened(page);
    expect(await violations(page)).toEqual([]);
  });
}
