import { defineConfig } from '@playwright/test';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
// Chromium's sandbox does not start as root, as in most containers.
const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
// `cargo xtask test` runs the projects one after another, and keeps the results of each.
const run = process.env.CROSSOVER_RUN ?? 'results';

const webgpu = {
  launchOptions: {
    executablePath,
    args: ['--headless=new', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', ...sandbox],
  },
};

// Tests whose outcome depends on how long something takes: that a race has enough samples for its fits, that it is under way at
// a moment, or ends within a limit. Nothing else may run beside them, so they have one worker and a run of their own.
const timing = /(api|embed|faults|gpu-faults|lifecycle|messages|playground|traps)\.spec/;
const withoutGpu = /no-gpu\.spec/;

// A project's `expect` replaces this one as a whole.
const expect = { timeout: 15_000, toHaveScreenshot: { maxDiffPixelRatio: 0.02, animations: 'disabled' } };

export default defineConfig({
  testDir: 'tests',
  globalSetup: './support/global-setup.js',
  outputDir: `test-results/${run}`,
  // More only for the project `page`, which `cargo xtask test` runs by itself.
  workers: 1,
  fullyParallel: false,
  // Tests of a benchmark share the machine with whatever else it does. What passes only now is counted apart, and named.
  retries: 1,
  forbidOnly: true,
  // A software adapter compiles each pipeline for seconds.
  timeout: 300_000,
  expect,
  snapshotPathTemplate: '{testDir}/__screenshots__/{arg}{ext}',
  reporter: [['list'], ['json', { outputFile: `test-results/${run}.json` }]],
  use: { viewport: { width: 1280, height: 900 }, locale: 'en-US', serviceWorkers: 'block', trace: 'retain-on-failure' },
  projects: [
    // Everything else. Its tests may wait for their turn on a core.
    { name: 'page', testIgnore: [timing, withoutGpu], fullyParallel: true, expect: { ...expect, timeout: 30_000 }, use: webgpu },
    { name: 'timing', testMatch: timing, use: webgpu },
    {
      // The API is there, but there is no adapter: what most machines without a usable GPU show.
      name: 'no-webgpu',
      testMatch: /(no-gpu|smoke)\.spec/,
      use: { launchOptions: { executablePath, args: ['--headless=new', ...sandbox] } },
    },
  ],
});
