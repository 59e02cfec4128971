// The playground as seen by a user, by role and test id, never by translated text.

import { expect } from './fixtures.js';

export class Playground {
  constructor(page) {
    this.page = page;
    this.start = page.getByTestId('start');
    this.cancel = page.getByTestId('cancel');
    this.chart = page.getByTestId('chart');
    this.table = page.getByTestId('results-table');
    this.headline = page.getByTestId('headline');
    this.error = page.getByTestId('error');
  }

  /** Opens the page and waits until the engine answers. */
  async open(address = './') {
    await this.page.goto(address);
    await this.page.waitForFunction(() => window.crossover);
    await this.page.evaluate(() => window.crossover.environment());
    await expect(this.start).toBeVisible();
  }

  /** Fills a field of the configuration, e.g. `lengths`. */
  async set(name, value) {
    await this.page.getByTestId(`config-${name}`).fill(String(value));
  }

  async choose(name, value) {
    const choice = this.page.getByTestId(`config-${name}-${value}`);
    // The label is visible and clickable, not the input.
    await choice.locator('xpath=ancestor::label').click();
    await expect(choice).toBeChecked();
  }

  /** A race that takes seconds. */
  async small(backend = 'cpu') {
    await this.set('lengths', '64, 128, 256');
    await this.set('width', 32);
    await this.set('heads', 2);
    await this.set('budget', 10);
    await this.choose('backend', backend);
  }

  async finished(timeout = 120_000) {
    await expect(this.start).toBeVisible({ timeout });
  }
}
