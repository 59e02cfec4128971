// Growth with the length: peak memory of attention, as counted, and the exponents of attention and Hyena.

const SHAPE = { width: 256, heads: 4, batch: 1, causal: true, level: 'core', backend: 'cpu' };

/** Peak bytes of attention by length. */
export async function memory(page, { lengths, budgetMs, log }) {
  const rows = [];
  for (const length of lengths) {
    // One race per length, so that memory of one length does not count for another.
    const report = await race(page, { ...SHAPE, systems: ['attention'], lengths: [length], budgetMs });
    const point = report.lanes[0].points[0];
    rows.push({ length, peakBytes: point.peakBytes, ms: point.medianMs, outcome: point.outcome });
    log(`  L = ${length}: ${point.outcome}, ${point.peakBytes} bytes, ${point.medianMs?.toFixed(0)} ms`);
  }
  return rows;
}

/** Exponents at the longest lengths with their intervals. */
export async function exponents(page, { budgetMs, log, races }) {
  const rows = [];
  for (const { system, lengths, goal } of races) {
    const report = await race(page, { ...SHAPE, systems: [system], lengths, budgetMs });
    const { exponent, points } = report.lanes[0];
    rows.push({ system, goal, exponent, points });
    const slope = exponent && `L^${exponent.estimate.toFixed(2)} (${exponent.low.toFixed(2)}–${exponent.high.toFixed(2)})`;
    log(`  ${system}: ${slope ?? 'no exponent'}; ${points.map((p) => `${p.length} ${p.medianMs?.toFixed(1) ?? p.outcome}`).join(' · ')}`);
  }
  return rows;
}

/** Every system at one length, causal if possible: on one thread, on all threads, and its share of the roofline. */
export async function shares(page, { systems, length, budgetMs, log }) {
  const ids = systems.map(({ id }) => id);
  const run = (threads) => race(page, { ...SHAPE, systems: ids, lengths: [length], threads, budgetMs });
  const [one, all] = [await run(1), await run('auto')];
  return systems.map(({ id, name }, index) => {
    const [alone, together] = [one, all].map(({ lanes }) => lanes[index].points[0]);
    log(`  ${id}: ${alone?.medianMs?.toFixed(1) ?? alone?.outcome} ms on 1 thread, ${together?.medianMs?.toFixed(1) ?? together?.outcome} on all`);
    return { name: name ?? id, length, alone, together, threads: all.environment.threads };
  });
}

const race = (page, config) => page.evaluate((given) => window.bench.call('race', given), config);
