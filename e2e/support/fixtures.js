// Fixtures of every spec: the addresses of the two servers, and a failure of tests whose page has an uncaught error or
// a message on the console's error channel.

import { test as base, expect } from '@playwright/test';

export { expect };

export const test = base.extend({
  // eslint-disable-next-line no-empty-pattern
  baseURL: async ({}, use) => use(process.env.CROSSOVER_URL),

  /** Errors that a spec provokes on purpose, as regular expressions. */
  expectedErrors: [[], { option: true }],

  noErrors: [
    async ({ page, expectedErrors }, use) => {
      const errors = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      page.on('console', (message) => {
        if (message.type() === 'error') errors.push(message.text());
      });
      await use(errors);
      const unexpected = errors.filter((text) => !expectedErrors.some((pattern) => pattern.test(text)));
      expect(unexpected, 'errors on the console').toEqual([]);
    },
    { auto: true },
  ],
});

/** Address of the server that sends no isolation headers. */
export const plainUrl = () => process.env.CROSSOVER_PLAIN_URL;
