// The pages of the systems: what a reader finds in them, how they are reached, and that the pictures are computed.

import { violations } from '../support/axe.js';
import { test, expect } from '../support/fixtures.js';
import { Playground } from '../support/playground.js';

const dialog = (page) => page.getByTestId('system-dialog');

/** Opens the page at the address of a system. */
async function open(page, id, language = 'en') {
  await page.addInitScript((language) => localStorage.setItem('language', language), language);
  await page.goto(`./#system=${id}`);
  await expect(dialog(page)).toBeVisible();
  await expect(page.getByTestId('system-idea')).toBeVisible();
}

async function catalogue(page) {
  return (await page.request.get(new URL('systems.json', process.env.CROSSOVER_URL).href)).json();
}

for (const language of ['en', 'zh-Hans']) {
  test(`every system has a page with all its parts, in ${language}`, async ({ page }) => {
    await page.addInitScript((language) => localStorage.setItem('language', language), language);
    await new Playground(page).open();
    const systems = await catalogue(page);
    expect(systems.length).toBeGreaterThanOrEqual(13);
    for (const { id } of systems) {
      await page.evaluate((id) => { location.hash = `#system=${id}`; }, id);
      await expect(dialog(page)).toBeVisible();
      await expect(page.getByTestId('system-idea')).not.toBeEmpty();
      await expect(page.getByTestId('system-words').locator('h3')).toHaveCount(5);
      expect(await page.getByTestId('system-words').locator('math').count(), id).toBeGreaterThan(0);
      await expect(page.getByTestId('system-words').locator('merror')).toHaveCount(0);
      await expect(page.getByTestId('system-bibtex')).toHaveText(/^@\w+\{/);
      expect(await page.getByTestId('system-patterns').locator('svg path').count(), id).toBeGreaterThan(0);
      if (language !== 'en') {
        for (const part of ['system-idea', 'system-words']) await expect(page.getByTestId(part)).toHaveText(/\p{Script=Han}/u);
      }
      await page.keyboard.press('Escape');
      await expect(dialog(page)).toBeHidden();
    }
  });
}

test('the pictures show what the mixers do: causal forms leave the upper right empty', async ({ page }) => {
  await open(page, 'attention');
  const pictures = page.getByTestId('system-patterns').getByRole('img');
  await expect(pictures).toHaveCount(4);
  await expect(pictures.nth(0)).toHaveAttribute('aria-label', /51% .*no output sees a later input/);
  await expect(pictures.nth(2)).toHaveAttribute('aria-label', /100% .*later inputs/);
});

test('a system\'s page is reached from its lane, has an address, and gives the focus back', async ({ page }) => {
  const playground = new Playground(page);
  await playground.open();
  await page.waitForFunction(() => location.hash.startsWith('#r='));
  const address = page.url();
  const about = page.locator('.lane-about').nth(1);
  await about.focus();
  await page.keyboard.press('Enter');
  await expect(dialog(page)).toBeVisible();
  await expect(page).toHaveURL(/#system=hyena$/);
  await page.keyboard.press('Escape');
  await expect(dialog(page)).toBeHidden();
  await expect(page).toHaveURL(address);
  await expect(about).toBeFocused();
});

test('BibTeX can be copied, and the system raced', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await open(page, 'bigbird');
  await page.getByTestId('system-bibtex-copy').click();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toMatch(/^@inproceedings\{zaheer2020bigbird/);
  await page.getByTestId('system-race').click();
  await expect(dialog(page)).toBeHidden();
  await expect(page.getByTestId('config-lane-bigbird')).toBeVisible();
  await expect(page).toHaveURL(/#r=/);
});

test('where copying is denied the BibTeX is selected (fault 32)', async ({ page }) => {
  await open(page, 'hyena');
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException('denied', 'NotAllowedError'));
  });
  await page.getByTestId('system-bibtex-copy').click();
  await expect(page.getByTestId('system-bibtex-copy')).toContainText('Ctrl+C');
  expect(await page.evaluate(() => getSelection().toString())).toMatch(/^@\w+\{poli2023hyena/);
});

test('an address of a system that is not there says so and keeps the page', async ({ page }) => {
  await new Playground(page).open('./#system=%3Cb%3Econstructor');
  await expect(page.getByTestId('link-error')).toBeVisible();
  await expect(dialog(page)).toBeHidden();
  await expect(page.getByTestId('start')).toBeVisible();
});

test.describe('where the words cannot be loaded', () => {
  test.use({ expectedErrors: [/Failed to load resource|ERR_FAILED/] });
  test('the page of a system says so, and tries again', async ({ page }) => {
    let broken = true;
    await page.route('**/systems/mega.en.json', (route) => (broken ? route.abort() : route.continue()));
    await new Playground(page).open('./#system=mega');
    await expect(dialog(page).getByRole('alert')).toBeVisible();
    broken = false;
    await dialog(page).getByRole('alert').getByRole('button').click();
    await expect(page.getByTestId('system-idea')).toBeVisible();
  });
});

for (const [scheme, language, width] of [['light', 'en', 1280], ['dark', 'zh-Hans', 1280], ['light', 'zh-Hans', 390], ['dark', 'en', 320]]) {
  test(`axe finds no fault in the page of a system: ${scheme}, ${language}, ${width} px`, async ({ page }) => {
    await page.setViewportSize({ width, height: 844 });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await open(page, 'reformer', language);
    expect(await violations(page)).toEqual([]);
    const overflow = await dialog(page).evaluate((dialog) => dialog.scrollWidth - dialog.clientWidth);
    expect(overflow, 'sideways scrolling').toBeLessThanOrEqual(0);
  });
}
