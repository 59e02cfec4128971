import { defineConfig } from '@playwright/test';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
// Chromium's sandbox does not start as root, as in most containers.
const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];

export default defineConfig({
  testDir: 'tests',
  globalSetup: './support/global-setup.js',
  // Races measure time: nothing else may run beside them.
  workers: 1,
  fullyParallel: false,
  // Tests of a benchmark share the machine with whatever else it does. What passes only now is counted apart, and named.
  retries: 1,
  forbidOnly: true,
  // A software adapter compiles each pipeline for seconds.
  timeout: 300_000,
  expect: { timeout: 15_000, toHaveScreenshot: { maxDiffPixelRatio: 0.02, animations: 'disabled' } },
  snapshotPathTemplate: '{testDir}/__screenshots__/{arg}{ext}',
  reporter: [['list'], ['json', { outputFile: 'test-results/results.json' }]],
  use: { viewport: { width: 1280, height: 900 }, locale: 'en-US', serviceWorkers: 'block', trace: 'retain-on-failure' },
  projects: [
    {
      name: 'webgpu',
      testIgnore: /no-gpu\..*/,
      use: {
        launchOptions: {
          executablePath,
          args: ['--headless=new', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', ...sandbox],
        },
      },
    },
    {
      // The API is there, but there is no adapter: what most machines without a usable GPU show.
      name: 'no-webgpu',
      testMatch: /(no-gpu|smoke)\..*/,
      use: { launchOptions: { executablePath, args: ['--headless=new', ...sandbox] } },
    },
  ],
});
