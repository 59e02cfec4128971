// The page API as used by another page.

import { test, expect } from '../support/fixtures.js';
import { openApi, race, smallRace } from '../support/api.js';
import { least } from '../support/timing.js';

for (const backend of ['cpu', 'webgpu']) {
  test(`a small race on ${backend} is verified, measured and fitted`, async ({ page }) => {
    await openApi(page);
    const { report, error } = await race(page, { ...smallRace, backend });
    expect(error).toBeUndefined();
    expect(report.status).toBe('done');
    expect(report.lanes.map((lane) => lane.system)).toEqual(['attention', 'hyena']);
    for (const lane of report.lanes) {
      expect(lane.backend).toBe(backend);
      expect(lane.verification.pass, lane.title).toBe(true);
      expect(lane.points.map((point) => [point.length, point.outcome])).toEqual(smallRace.lengths.map((length) => [length, 'ok']));
      for (const point of lane.points) {
        expect(point.medianMs).toBeGreaterThan(0);
        expect(point.q1Ms).toBeLessThanOrEqual(point.medianMs);
        expect(point.q3Ms).toBeGreaterThanOrEqual(point.medianMs);
        expect(point.minMs).toBeLessThanOrEqual(point.q1Ms);
        expect(point.samples).toBeGreaterThan(0);
        expect(point.flops).toBeGreaterThan(0);
        expect(point.bytes).toBeGreaterThan(0);
        expect(point.peakBytes).toBeGreaterThan(0);
      }
    }
    expect(report.crossovers).toHaveLength(1);
    expect(['measured', 'at-most', 'predicted', 'undecided', 'none']).toContain(report.crossovers[0].kind);
    expect(report.schema).toBe(2);
    // Which lane is ahead depends on the machine, but every verdict must agree with its interval.
    for (const { versus } of report.lanes.flatMap((lane) => lane.points).filter((point) => point.versus)) {
      expect(versus.low).toBeLessThanOrEqual(versus.speedup);
      expect(versus.high).toBeGreaterThanOrEqual(versus.speedup);
      if (versus.verdict === 'ahead') expect(versus.low).toBeGreaterThan(1);
      if (versus.verdict === 'behind') expect(versus.high).toBeLessThan(1);
    }
    expect(report.environment.agent).toContain('Chrome');
  });
}

test('both backends race side by side', async ({ page }) => {
  await openApi(page);
  const systems = ['cpu', 'webgpu'].flatMap((backend) => ['attention', 'hyena'].map((system) => ({ system, backend })));
  const { report } = await race(page, { ...smallRace, systems, lengths: [100, 300] });
  expect(report.lanes.map((lane) => `${lane.system} ${lane.backend}`)).toEqual([
    'attention cpu', 'hyena cpu', 'attention webgpu', 'hyena webgpu',
  ]);
  for (const lane of report.lanes) {
    expect(lane.verification.pass, `${lane.system} on ${lane.backend}`).toBe(true);
    expect(lane.points.every((point) => point.outcome === 'ok')).toBe(true);
  }
});

test('events report the progress of the race', async ({ page }) => {
  await openApi(page);
  const types = await page.evaluate(async (config) => {
    const events = [];
    await window.api.race(config, { onEvent: (event) => events.push(event) });
    return events.map((event) => ({
      type: event.type,
      fraction: event.fraction,
      status: event.report?.status,
      remainingMs: event.remainingMs,
    }));
  }, { ...smallRace, backend: 'cpu' });
  const progress = types.filter((event) => event.type === 'progress');
  expect(progress.length).toBeGreaterThan(0);
  for (const event of progress) {
    expect(event.fraction).toBeGreaterThanOrEqual(0);
    expect(event.fraction).toBeLessThanOrEqual(1);
    expect(event.remainingMs).toBeGreaterThanOrEqual(0);
  }
  expect(types.some((event) => event.type === 'report' && event.status === 'running')).toBe(true);
  expect(types.at(-1)).toMatchObject({ type: 'done', status: 'done' });
});

test('an aborted race answers within 200 ms, and the next one runs', async ({ page }) => {
  await openApi(page);
  const latency = () => page.evaluate(async (config) => {
    await window.api.environment();
    const stop = new AbortController();
    let started;
    const running = new Promise((resolve) => { started = resolve; });
    const race = window.api.race(config, { signal: stop.signal, onEvent: started });
    await running;
    await new Promise((resolve) => setTimeout(resolve, 300));
    const abortedAt = performance.now();
    stop.abort();
    const name = await race.then(() => 'raced', (error) => error.name);
    if (name !== 'AbortError') throw new Error(name);
    return performance.now() - abortedAt;
  }, { systems: ['attention'], lengths: [2048, 4096, 8192], width: 256, backend: 'cpu', budgetMs: 60_000 });
  expect(await least(200, latency)).toBeLessThan(200);
  const { report } = await race(page, { ...smallRace, lengths: [64], backend: 'cpu' });
  expect(report.status).toBe('done');
});

test('a race that is aborted before it starts never runs', async ({ page }) => {
  await openApi(page);
  const name = await page.evaluate(() => window.api.race({}, { signal: AbortSignal.abort() }).catch((error) => error.name));
  expect(name).toBe('AbortError');
});

test('the systems and the machine are listed', async ({ page }) => {
  await openApi(page);
  const [systems, environment] = await page.evaluate(() => Promise.all([window.api.systems(), window.api.environment()]));
  const ids = systems.map((system) => system.id);
  expect(ids).toEqual(expect.arrayContaining(['attention', 'attention-naive', 'hyena']));
  expect(environment.isolated).toBe(true);
  expect(environment.gpu).not.toBeNull();
  expect(environment.gpu.fallback).toBe(true);
  expect(environment.threads).toBe(Math.min(environment.cores, 32));
});

test('a report survives its link', async ({ page }) => {
  await openApi(page);
  const [report, link, back] = await page.evaluate(async (config) => {
    const report = await window.api.race(config);
    const link = await window.api.encodeLink(report);
    return [report, link, await window.api.decodeLink(link)];
  }, { ...smallRace, backend: 'cpu' });
  expect(link.startsWith(`${process.env.CROSSOVER_URL}#r=`)).toBe(true);
  expect(link.length).toBeLessThan(8192);
  expect(back.config).toEqual(report.config);
  expect(back.report.lanes.map((lane) => lane.points.length)).toEqual(report.lanes.map((lane) => lane.points.length));
  for (const [index, lane] of report.lanes.entries()) {
    for (const [at, point] of lane.points.entries()) {
      expect(back.report.lanes[index].points[at].medianMs / point.medianMs).toBeCloseTo(1, 2);
    }
  }
});

const refused = [
  [{ lengths: [0] }, 'invalid-field', 'lengths', 'from 1 to 1048576'],
  [{ lengths: [1e12] }, 'invalid-field', 'lengths', 'from 1 to 1048576'],
  [{ lengths: ['long'] }, 'invalid-field', 'lengths', 'from 1 to 1048576'],
  [{ lengths: [] }, 'invalid-field', 'lengths', 'at least one'],
  [{ lengths: [Number.NaN] }, 'invalid-field', 'lengths', 'from 1 to 1048576'],
  [{ width: 100, heads: 3 }, 'invalid-field', 'heads', 'divisor of the width'],
  [{ systems: ['hyenna'] }, 'unknown-system', 'systems[0]', 'hyena'],
  [{ systems: Array(40).fill('attention') }, 'too-many', 'systems', 'at most'],
  [{ systems: ['attention', 'attention'] }, 'duplicate-lane', 'systems[1]', 'systems[0]'],
  [{ systems: [{ system: 'hyena', params: { order: 99 } }] }, 'invalid-field', 'systems[0].params.order', 'got 99'],
  [{ widht: 64 }, 'unknown-field', 'widht', 'width'],
  [{ level: 'deep' }, 'invalid-field', 'level', '"core" or "layer"'],
  [{ budgetMs: -1 }, 'invalid-field', 'budgetMs', 'from'],
];

test('a bad configuration is refused with field and range', async ({ page }) => {
  await openApi(page);
  for (const [config, code, field, words] of refused) {
    const { error, report } = await race(page, config);
    const about = JSON.stringify(config).slice(0, 80);
    expect(report, about).toBeUndefined();
    expect(error, about).toMatchObject({ name: 'CrossoverError', code, field });
    expect(error.message, about).toContain(words);
  }
  const circular = await page.evaluate(() => {
    const config = {};
    config.self = config;
    return window.api.race(config).catch((error) => ({ name: error.name, code: error.code }));
  });
  expect(circular).toEqual({ name: 'CrossoverError', code: 'invalid-config' });
  // Nothing hangs and nothing is lost.
  const { report } = await race(page, { ...smallRace, lengths: [64], backend: 'cpu' });
  expect(report.status).toBe('done');
});

test('a bad link is refused with a message', async ({ page }) => {
  await openApi(page);
  const good = await page.evaluate(async (config) => window.api.encodeLink(await window.api.race(config)), { ...smallRace, lengths: [64], backend: 'cpu' });
  const bad = ['', '#', '#r=', '#r=0', '#r=!!!!', good.slice(0, -3), `${good}AAAA`, good.replace(/#r=./, '#r=9'), `#r=1${'A'.repeat(100_000)}`];
  const errors = await page.evaluate(
    (links) => Promise.all(links.map((link) => window.api.decodeLink(link).then(() => null, (error) => ({ name: error.name, code: error.code, message: error.message })))),
    bad,
  );
  for (const [index, error] of errors.entries()) {
    expect(error, bad[index].slice(0, 60)).not.toBeNull();
    expect(error.name).toBe('CrossoverError');
    expect(error.code).toMatch(/^[a-z-]+$/);
    expect(error.message.length).toBeLessThan(400);
  }
});
