// The results as Markdown.

import { ratio } from './stats.js';
import { median, quantile } from './page/median.js';
import { TOLERANCES } from './peers.js';
import { PEAK, PEER, PRODUCTS, rate, share } from './workloads.js';

const number = (value, digits) => value.toLocaleString('en-US', { maximumFractionDigits: digits });
/** Three significant digits, the precision of such measurements. */
const figure = (value) => (value >= 100 ? number(value, 0) : Number(value.toPrecision(3)).toString());
const table = (head, rows) =>
  [head, head.map((_, index) => (index === 0 ? '---' : '--:')), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

const MEASURES = {
  one: 'Crossover wasm, 1 thread',
  all: 'Crossover wasm, all threads',
  gpu: 'Crossover WebGPU',
};

/** Table of times per contender and length: median (first to third quartile). */
function times(chosen) {
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
/** Removes characters that would break a table, and folders of the machine that built the peer. */
const note = (text) => text.replaceAll('|', '/').replace(/(?:\/[\w.-]+)+\//g, '');

/** Table of ratios by length: the peer's time divided by ours. */
function ratios(chosen) {
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
        // Too few rounds for an interval.
        const interval = found.rounds < 3 ? '' : ` (${found.low.toFixed(2)}–${found.high.toFixed(2)})`;
        return `**${found.estimate.toFixed(2)}**${interval}`;
      }),
    ]);
  return table(['peer’s time ÷ ours (95%)', ...chosen.map(({ problem }) => `L = ${number(problem.length)}`)], rows);
}

function agreement(contests, work) {
  const rows = contests.filter(({ problem }) => problem.work === work).flatMap(({ problem, rows }) =>
    rows
      .filter(({ fromOthers, fromReference }) => fromOthers !== null || fromReference !== null)
      .map(({ entry, fromOthers, fromReference }) => ({ problem, entry, most: Math.max(fromOthers ?? 0, fromReference ?? 0) })),
  );
  const counted = rows.filter(({ problem, most }) => most <= TOLERANCES[problem.work]);
  if (counted.length === 0) return 'No output could be compared.';
  const most = Math.max(...counted.map((row) => row.most));
  const wrong = rows.length - counted.length;
  return (
    `Of ${rows.length} outputs compared, ${counted.length} agree; they are at most ${most.toExponential(1)} apart. ` +
    (wrong > 0 ? `${wrong} differ by more than ${TOLERANCES[work]} and got no time.` : `None differs by more than ${TOLERANCES[work]}.`)
  );
}

function memoryTable(rows) {
  const lines = rows.map(({ length, peakBytes, ms, outcome }, index) => {
    // Unfinished points have no peak.
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

function kernelTable(rows) {
  const labels = [...new Set(rows.map(({ label }) => label))];
  const names = [...new Set(rows.map(({ workload }) => workload))].filter((name) => !/^(rustfft|conv):/.test(name) && !PEER.test(name));
  return table(
    ['kernel', ...labels.flatMap((label) => [`${label}, ms`, 'GFLOP/s', 'of the peak'])],
    names.map((name) => [
      { [PEAK]: 'multiply-adds in registers', tile: 'GEMM’s inner tile, operands in cache' }[name] ?? name.replace('gemm:', 'GEMM '),
      ...labels.flatMap((label) => {
        const row = rows.find((one) => one.label === label && one.workload === name);
        return [figure(Math.min(...row.times)), number(rate(row), 1), `${number(100 * share(row, rows), 0)}%`];
      }),
    ]),
  );
}

/** A peer's median time, and its ratio to ours. */
function against(peer, ours) {
  const { estimate, low, high } = ratio(peer.times, ours.times);
  return `${figure(median(peer.times))} ms: **${estimate.toFixed(2)}** (${low.toFixed(2)}–${high.toFixed(2)})`;
}

const finder = (rows) => (name, label) => rows.find((row) => row.workload === name && (!label || row.label === label));

function productTable(rows) {
  const labels = [...new Set(rows.map(({ label }) => label))];
  const find = finder(rows);
  const peers = { ort: 'ORT-web', tfjs: 'TensorFlow.js' };
  const lines = PRODUCTS.flatMap((size) =>
    labels.map((label) => {
      const ours = find(`gemm:${size}`, label);
      const cells = Object.keys(peers).map((peer) => against(find(`${peer}-gemm:${size}`), ours));
      return [`${number(size)}, ${label}`, figure(median(ours.times)), ...cells];
    }),
  );
  return table(['GEMM', 'ours, ms', ...Object.values(peers).map((name) => `${name} wasm ÷ ours`)], lines);
}

function convolutionTable(rows) {
  const labels = [...new Set(rows.map(({ label }) => label))];
  const find = finder(rows);
  const lengths = rows.filter(({ workload, label }) => workload.startsWith('conv:') && label === labels[0]).map(({ workload }) => workload.split(':')[1]);
  const cells = (length, label) => {
    const ours = find(`conv:${length}`, label);
    const peers = [find(`pffft:${length}`), find(`rustfft:${length}`, label)].map((peer) => against(peer, ours));
    return [`${number(Number(length))}, ${label}`, figure(median(ours.times)), ...peers];
  };
  return table(['L', 'ours, ms', 'PFFFT (SIMD128) ÷ ours', 'RustFFT (SIMD128) ÷ ours'], lengths.flatMap((length) => labels.map((label) => cells(length, label))));
}

function shareTable(rows) {
  const percent = (value) => (value === null || value === undefined ? '–' : `${number(100 * value, 0)}%`);
  return table(
    ['system', 'ms, 1 thread', 'of the roofline', `ms, ${rows[0].threads} threads`, 'of the roofline', 'speed-up'],
    rows.map(({ name, alone, together }) => {
      const ms = (point) => (point?.outcome === 'ok' ? figure(point.medianMs) : (point?.outcome ?? '–'));
      const both = alone?.outcome === 'ok' && together?.outcome === 'ok';
      const gain = both ? (alone.medianMs / together.medianMs).toFixed(2) : '–';
      return [name, ms(alone), percent(alone?.rooflineShare), ms(together), percent(together?.rooflineShare), gain];
    }),
  );
}

export function markdown({ date, hardware, versions, kernels, shares, contests, memory, exponents, rounds, load }) {
  const parts = [
    '# Benchmarks',
    `Written by \`cargo xtask bench\` on ${date}.`,
    `**Hardware:** ${hardware}`,
    `**Versions:** ${versions}`,
    `**Load:** ${load}`,
    `Attention at core level, f32, batch 1, width 256, 4 heads, each library in a Chromium of its own. Everybody computes the same q, k and v ` +
      `first, and outputs are compared: each peer with f64 in eight rows, and everybody in full with the first peer that ` +
      `is right. ${agreement(contests, 'attention')} Then come ${rounds} rounds, in each of which every contender has its turn, in ` +
      `changing order; a time is the median of the rounds, a ratio the median of the rounds’ ratios, its interval the ` +
      `central 95% of a bootstrap over rounds. Inputs are on the device before the clock starts, and outputs stay there; ` +
      `only ONNX Runtime’s wasm backend copies them on each call. Our kernels are timed by the race itself, on inputs of ` +
      `the race’s own seed. Above 1, ours is faster.`,
  ];
  for (const causal of [false, true]) {
    const chosen = contests.filter(({ problem }) => problem.work === 'attention' && problem.causal === causal);
    if (chosen.length > 0) parts.push(`## ${causal ? 'Causal' : 'Not causal'}`, ratios(chosen), times(chosen));
  }
  const convolutions = contests.filter(({ problem }) => problem.work === 'hyena');
  if (convolutions.length > 0) {
    parts.push(
      '## Long convolution, WebGPU',
      'Hyena of order 2 at core level, x₀ ⊙ (k ∗ (x₁ ⊙ v) + β ⊙ x₁ ⊙ v), width 256, by the same rules. The peers get their ' +
        'inputs with the positions innermost, as their transforms want them, and the filter’s spectrum is computed before; ' +
        'ONNX Runtime’s WebGPU backend has no Fourier transform. Ours is compared in full with f64, the peers in eight rows: ' +
        agreement(contests, 'hyena'),
      ratios(convolutions),
      times(convolutions),
    );
  }
  const steps = contests.filter(({ problem }) => problem.work === 'decode');
  if (steps.length > 0) {
    parts.push(
      '## A generated token',
      'Attention of one token at core level after a context of L tokens, width 256, 4 heads, with the keys and values of ' +
        'the context, by the same rules. The peer is ONNX Runtime’s operators with past keys and values, MultiHeadAttention and ' +
        'GroupQueryAttention, as Transformers.js calls them: each step returns both caches with one row appended, which copies ' +
        'them, and the wasm backend copies inputs and outputs too. Ours appends to a cache of planned capacity and is timed over ' +
        `runs of dependent tokens; its answers are compared with f64 by the race. ${agreement(contests, 'decode')}`,
      ratios(steps),
      times(steps),
    );
  }
  if (kernels.length > 0) {
    parts.push(
      '## Kernels alone',
      'One thread, the kernels’ own module without the page, best of five interleaved rounds. The peak is what multiply-adds ' +
        'in registers reach with the same instructions in the same run. GEMM N is a linear layer of width N on N rows, its ' +
        'weights packed before.',
      kernelTable(kernels),
      'The same products by the peers’ wasm backends on one thread, medians of the same rounds, five of each output compared with ' +
        'f64. ONNX Runtime holds the weights in its graph and copies the rows in on each call; jax-js cannot be held to one thread.',
      productTable(kernels),
      'Causal long convolution of 256 channels, each with its own filter, from and to memory: medians of the same rounds. ' +
        'PFFFT and RustFFT transform real signals in their own best order, keep the filters’ spectra and reuse their scratch.',
      convolutionTable(kernels),
    );
  }
  if (shares.length > 0) {
    parts.push(
      '## Every system',
      `Core level on the CPU at L = ${number(shares[0].length)}, width 256, 4 heads, causal where the system can be, default ` +
        'parameters, timed by the race. The roofline is the slower of the counted operations at the multiply-add peak and ' +
        'the counted bytes at copy bandwidth, both measured by the same race.',
      shareTable(shares),
    );
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
