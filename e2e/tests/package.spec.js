// The npm package: installed into an empty project, bundled, and raced.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { build as viteBuild, createLogger } from 'vite';
import webpack from 'webpack';
import webpack589 from 'webpack-5.89';
import { test, expect } from '../support/fixtures.js';
import { root } from '../support/server.js';
import { serveFolder } from '../support/static.js';

const run = promisify(execFile);
const RACE = "race({ systems: ['attention', 'hyena'], lengths: [64, 128], width: 32, heads: 2, backend: 'cpu' })";
const page = (script) => `<!doctype html><html lang="en"><title>A project</title><link rel="icon" href="data:,">${script}`;

let folder;
let server;
test.beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossover-package-'));
  await writeFile(join(folder, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }');
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(root, 'dist/npm/crossover-race.tgz')], { cwd: folder });
  server = await serveFolder(folder);
});
test.afterAll(async () => {
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function raced(page, address) {
  await page.goto(address);
  await page.waitForFunction(() => window.report || window.failure, undefined, { timeout: 60_000 });
  expect(await page.evaluate(() => window.failure)).toBeUndefined();
  return page.evaluate(() => window.report);
}

test('a bundled project races with the engine at the configured place', async ({ page: tab }) => {
  await writeFile(join(folder, 'main.js'), `import { configure, race } from 'crossover-race';
configure({ base: '/engine/' });
${RACE}.then((report) => { window.report = report; }, (error) => { window.failure = String(error); });`);
  await run('npx', ['--offline', 'crossover-race', 'engine'], { cwd: folder });
  const { warnings } = await build({ entryPoints: [join(folder, 'main.js')], bundle: true, format: 'esm', minify: true, outfile: join(folder, 'out/main.js') });
  expect(warnings).toEqual([]);
  await writeFile(join(folder, 'index.html'), page('<script type="module" src="out/main.js"></script>'));
  const report = await raced(tab, server.url);
  expect(report.status).toBe('done');
  expect(report.lanes.map((lane) => lane.system)).toEqual(['attention', 'hyena']);
  expect(report.environment.isolated).toBe(true);
});

/** Bundles with webpack and answers with what it warns of. */
const packed = (bundler, filename) => new Promise((resolve, reject) => {
  const options = {
    mode: 'production', context: folder, entry: './systems.js', output: { path: join(folder, 'out'), filename }, performance: { hints: false },
  };
  bundler(options, (error, stats) => {
    if (error) reject(error);
    else resolve([...stats.compilation.errors, ...stats.compilation.warnings].map((problem) => problem.message));
  });
});

const BUNDLERS = {
  'webpack 5.89': (filename) => packed(webpack589, filename),
  webpack: (filename) => packed(webpack, filename),
  async vite(filename) {
    const problems = [];
    const log = (message) => problems.push(message);
    const customLogger = { ...createLogger('silent'), warn: log, warnOnce: log, error: log };
    const lib = { entry: join(folder, 'systems.js'), formats: ['es'], fileName: () => filename };
    await viteBuild({ root: folder, configFile: false, publicDir: false, customLogger, build: { lib, outDir: 'out', emptyOutDir: false } });
    return problems;
  },
};

for (const [name, bundle] of Object.entries(BUNDLERS)) {
  test(`${name} bundles the package without a warning, and its engine answers`, async ({ page: tab }) => {
    await run('npx', ['--offline', 'crossover-race', 'engine'], { cwd: folder });
    await writeFile(join(folder, 'systems.js'), `import { configure, systems } from 'crossover-race';
configure({ base: '/engine/' });
systems().then((systems) => { window.systems = systems.length; }, (error) => { window.systems = String(error); });`);
    const file = `${name.replace(' ', '-')}.js`;
    expect(await bundle(file)).toEqual([]);
    await writeFile(join(folder, 'systems.html'), page(`<script type="module" src="out/${file}"></script>`));
    await tab.goto(`${server.url}systems.html`);
    await expect.poll(() => tab.evaluate(() => window.systems), { timeout: 60_000 }).toBeGreaterThan(10);
  });
}

test('the page’s own worker can race', async ({ page: tab }) => {
  await writeFile(join(folder, 'worker.js'), `import { race, systems } from './node_modules/crossover-race/crossover.js';
systems().then(() => ${RACE}).then((report) => postMessage({ report }), (error) => postMessage({ failure: String(error) }));`);
  await writeFile(join(folder, 'worker.html'), page(`<script type="module">
    new Worker('worker.js', { type: 'module' }).onmessage = ({ data }) => Object.assign(window, data);
  </script>`));
  const report = await raced(tab, `${server.url}worker.html`);
  expect(report.status).toBe('done');
  expect(report.lanes.every((lane) => lane.points.every((point) => point.medianMs > 0))).toBe(true);
});

test('Node.js has links and systems, but no races', async () => {
  const report = JSON.parse(await readFile(join(root, 'crates/report/tests/fixtures/v3-report.json'), 'utf8'));
  await writeFile(join(folder, 'node.js'), `import { readFile } from 'node:fs/promises';
import { connect, configure, CrossoverError, decodeLink, encodeLink, environment, race, systems, variant, verify } from 'crossover-race';
const report = JSON.parse(await readFile('report.json', 'utf8'));
const [link, again] = await Promise.all([encodeLink(report), encodeLink(report)]);
const refused = async (call) => {
  try {
    await call();
    return 'nothing';
  } catch (error) {
    return [error instanceof CrossoverError, error.code, error.message.includes('crossover program')].join();
  }
};
const before = fetch;
console.log(JSON.stringify({
  link, same: link === again, lanes: (await decodeLink(link)).report.lanes.length, systems: (await systems()).map((system) => system.id),
  damaged: await decodeLink('#r=1AAAA').catch((error) => [error instanceof CrossoverError, error.code].join()),
  wrong: await encodeLink({}).catch((error) => [error instanceof CrossoverError, error.code].join()),
  refused: await Promise.all([() => race(), () => verify(new Uint8Array(8)), environment, variant, () => connect(() => {})].map(refused)),
  fetch: before === fetch,
}));
configure({ base: './nowhere/' });
console.log(JSON.stringify(await Promise.all([systems, () => decodeLink(link)].map(refused))));
`);
  await writeFile(join(folder, 'report.json'), JSON.stringify(report));
  const { stdout } = await run(process.execPath, ['node.js'], { cwd: folder });
  const [said, lost] = stdout.trim().split('\n').map((line) => JSON.parse(line));
  expect(lost).toEqual(Array(2).fill('true,worker-load-failed,false'));
  expect(said.link).toMatch(/#r=\d[\w-]+$/);
  expect(said.same).toBe(true);
  expect(said.lanes).toBe(report.lanes.length);
  expect(said.systems).toContain('attention');
  expect(said.systems.length).toBeGreaterThan(10);
  expect(said.damaged).toBe('true,link-damaged');
  expect(said.wrong).toMatch(/^true,/);
  expect(said.refused).toEqual(Array(5).fill('true,no-browser,true'));
  expect(said.fetch).toBe(true);
});

test('a module script races without configuration', async ({ page: tab }) => {
  await writeFile(join(folder, 'plain.html'), page(`<script type="module">
    import { race } from './node_modules/crossover-race/crossover.js';
    ${RACE}.then((report) => { window.report = report; }, (error) => { window.failure = String(error); });
  </script><crossover-race systems="attention" lengths="64" width="32" heads="2" backend="cpu"></crossover-race>`));
  const report = await raced(tab, `${server.url}plain.html`);
  expect(report.status).toBe('done');
  const status = await tab.evaluate(() => document.querySelector('crossover-race').start().then((report) => report.status, (error) => error.code));
  expect(status).toBe('done');
});

test('the types match the exports', async () => {
  const names = Object.keys(await import(join(folder, 'node_modules/crossover-race/crossover.js')));
  const types = await readFile(join(folder, 'node_modules/crossover-race/crossover.d.ts'), 'utf8');
  const declared = [...types.matchAll(/^export (?:declare )?(?:function|class|const) (\w+)/gm)].map((match) => match[1]);
  expect(names.sort()).toEqual(declared.sort());
  await writeFile(join(folder, 'use.ts'), `import { configure, CrossoverError, race, type Report } from 'crossover-race';
configure({ base: '/engine/' });
const report: Report = await race({ systems: ['attention', { system: 'hyena', backend: 'cpu', params: { order: 2 } }], lengths: [64] });
void race({ lengths: '256..16K' });
const first: number | null = report.lanes[0].points[0].medianMs;
const element = document.createElement('crossover-race');
element.addEventListener('report', (event) => console.log(event.detail.crossovers.length, first, CrossoverError));
element.addEventListener('progress', (event) => console.log(event.detail.fraction.toFixed(2)));
const again: Promise<Report> = element.start();
// @ts-expect-error A length is a number.
void race({ lengths: ['64'] });
export { again };
`);
  const tsc = join(root, 'e2e/node_modules/typescript/bin/tsc');
  const options = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,dom'];
  for (const module of [['nodenext'], ['esnext', '--moduleResolution', 'bundler']]) {
    await run(process.execPath, [tsc, ...options, '--module', ...module, 'use.ts'], { cwd: folder });
  }
});
