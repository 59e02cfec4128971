// The run as Markdown.

import { ratio } from './stats.js';
import { median, quantile } from './page/median.js';
import { TOLERANCE } from './peers.js';

const number = (value, digits) => value.toLocaleString('en-US', { maximumFractionDigits: digits });
/** Three digits are what such measurements bear. */
const figure = (value) => (value >= 100 ? number(value, 0) : Number(value.toPrecision(3)).toString());
const table = (head, rows) =>
  [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const MEASURES = {
  one: 'Crossover wasm, 1 thread',
  all: 'Crossover wasm, all threads',
  gpu: 'Crossover WebGPU',
};

/** Times: median (first to third quartile) per contender and length. */
function times(contests, causal) {
  const chosen = contests.filter(({ problem }) => problem.causal === causal);
  const names = [...new Set(chosen.flatMap(({ rows }) => rows.map(({ entry }) => entry.name)))];
  return table(
    ['median ms (quartiles)', ...chosen.map(({ problem }) => `L = ${number(problem.length)}`)],
    names.map((name) => [
      name,
      ...chosen.map(({ rows }) => {
        const row = rows.find(({ entry }) => entry.name === name);
        const measured = measuredOf(row);
        if (!row) return '';
        if (row.note) return `– [${note(row.note)}]`;
        if (measured.length === 0) return '–';
        if (measured.length < 3) return figure(median(measured));
        return `${figure(median(measured))} (${figure(quantile(measured, 0.25))}–${figure(quantile(measured, 0.75))})`;
      }),
    ]),
  );
}

const measuredOf = (row) => row?.times.filter((time) => time > 0) ?? [];
const note = (text) => text.replaceAll('|', '/');

/** Peer's time over ours, by length. */
function ratios(contests, causal) {
  const chosen = contests.filter(({ problem }) => problem.causal === causal);
  const peers = [...new Map(chosen.flatMap(({ rows }) => rows.map(({ entry }) => [entry.name, entry]))).values()];
  const rows = peers
    .filter(({ against }) => against)
    .map((peer) => [
      `${peer.name} ÷ ${MEASURES[peer.against]}`,
      ...chosen.map(({ rows }) => {
        const theirs = rows.find(({ entry }) => entry === peer);
        const ours = rows.find(({ entry }) => entry.ours === peer.against);
        const found = theirs?.note || ours?.note ? null : ratio(theirs?.times ?? [], ours?.times ?? []);
        if (!found) return '–';
        // So few rounds say nothing of their spread.
        const interval = found.rounds < 3 ? '' : ` (${found.low.toFixed(2)}–${found.high.toFixed(2)})`;
        return `**${found.estimate.toFixed(2)}**${interval}`;
      }),
    ]);
  return table(['peer’s time ÷ ours (95%)', ...chosen.map(({ problem }) => `L = ${number(problem.length)}`)], rows);
}

function agreement(contests) {
  const rows = contests.flatMap(({ problem, rows }) =>
    rows
      .filter(({ fromOthers, fromReference }) => fromOthers !== null || fromReference !== null)
      .map(({ entry, fromOthers, fromReference }) => ({ problem, entry, most: Math.max(fromOthers ?? 0, fromReference ?? 0) })),
  );
  const counted = rows.filter(({ most }) => most <= TOLERANCE);
  if (counted.length === 0) return 'No output could be compared.';
  const most = Math.max(...counted.map((row) => row.most));
  const wrong = rows.length - counted.length;
  return (
    `Of ${rows.length} outputs compared, ${counted.length} agree; they are at most ${most.toExponential(1)} apart. ` +
    (wrong > 0 ? `${wrong} differ by more than ${TOLERANCE} and got no time.` : `None differs by more than ${TOLERANCE}.`)
  );
}

function memoryTable(rows) {
  const lines = rows.map(({ length, peakBytes, ms, outcome }, index) => {
    // What did not finish has no peak.
    if (outcome !== 'ok') return [number(length), outcome, '–', '–', '–'];
    const before = rows.slice(0, index).findLast((row) => row.outcome === 'ok');
    const growth = before ? (peakBytes / before.peakBytes / (length / before.length)).toFixed(2) : '';
    return [number(length), outcome, number(peakBytes / 1e6, 1), growth, figure(ms)];
  });
  return table(['L', 'outcome', 'peak MB', 'growth ÷ growth of L', 'ms'], lines);
}

function exponentTable(rows) {
  return table(
    ['system', 'lengths', 'exponent (95%)', 'goal'],
    rows.map(({ system, goal, exponent, points }) => {
      const measured = points.filter(({ outcome }) => outcome === 'ok').map(({ length }) => length);
      return [
        system,
        measured.length > 0 ? `${number(Math.min(...measured))}–${number(Math.max(...measured))}` : '–',
        exponent ? `${exponent.estimate.toFixed(2)} (${exponent.low.toFixed(2)}–${exponent.high.toFixed(2)})` : '–',
        goal,
      ];
    }),
  );
}

export function markdown({ date, hardware, versions, contests, memory, exponents, rounds, load }) {
  const parts = [
    '# Benchmarks',
    `Written by \`cargo xtask bench\` on ${date}.`,
    `**Hardware:** ${hardware}`,
    `**Versions:** ${versions}`,
    `**Load:** ${load}`,
    `Attention at core level, f32, batch 1, width 256, 4 heads, in one Chromium. Everybody computes the same q, k and v ` +
      `first, and outputs are compared: each peer with f64 in eight rows, and everybody in full with the first peer that ` +
      `is right. ${agreement(contests)} Then come ${rounds} rounds, in each of which every contender has its turn, in ` +
      `changing order; a time is the median of the rounds, a ratio the median of the rounds’ ratios, its interval the ` +
      `central 95% of a bootstrap over rounds. Inputs are on the device before the clock starts, and outputs stay there; ` +
      `only ONNX Runtime’s wasm backend copies them on each call. Our kernels are timed by the race itself, on inputs of ` +
      `the race’s own seed. Above 1, ours is faster.`,
  ];
  for (const causal of [false, true]) {
    if (!contests.some(({ problem }) => problem.causal === causal)) continue;
    parts.push(`## ${causal ? 'Causal' : 'Not causal'}`, ratios(contests, causal), times(contests, causal));
  }
  if (memory.length > 0) {
    parts.push(
      '## Memory',
      'Attention on the CPU, causal, width 256, 4 heads: the most bytes held at once, input and output included, counted ' +
        'by the kernels’ own ledger. The goal is less than 400 MB at 32,768.',
      memoryTable(memory),
    );
  }
  if (exponents.length > 0) {
    parts.push('## Growth', 'Core level on the CPU, all threads, causal, width 256, 4 heads.', exponentTable(exponents));
  }
  return `${parts.join('\n\n')}\n`;
}
