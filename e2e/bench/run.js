// Races the project's kernels against their alternatives in Chromium on this machine: `cargo xtask bench`.

import { writeFile, mkdir } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from '@playwright/test';
import { provide } from './graphs.js';
import { exponents, memory, shares } from './growth.js';
import { Contest } from './peers.js';
import { markdown } from './report.js';
import { serve } from './server.js';
import { PRODUCTS, TABLE, measure } from './workloads.js';

const OPTIONS = {
  output: { type: 'string', default: '../docs/benchmarks.md' },
  lengths: { type: 'string', default: '256,1024,2048,4096' },
  contexts: { type: 'string', default: '1024,4096,16384' },
  backends: { type: 'string', default: 'cpu,webgpu' },
  rounds: { type: 'string', default: '5' },
  'pass-limit': { type: 'string', default: '20' },
  parts: { type: 'string', default: 'kernels,shares,memory,exponents,peers,convolution,decode' },
  /** Modules of the kernels as `label=path`; several may be given. */
  module: { type: 'string', multiple: true, default: [] },
  budget: { type: 'string', default: '120' },
};

const list = (text) => text.split(',').map((word) => word.trim()).filter(Boolean);

function positive(name, text) {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new Error(`--${name} must be a number above 0, not ${text}`);
  return value;
}

function among(name, text, allowed) {
  const words = list(text);
  const wrong = words.find((word) => !allowed.includes(word));
  if (wrong !== undefined || words.length === 0) throw new Error(`--${name} takes ${allowed.join(', ')}`);
  return words;
}

/** Whole numbers in a list, ascending. */
function whole(name, text) {
  const numbers = list(text).map((word) => positive(name, word));
  if (!numbers.every(Number.isInteger)) throw new Error(`--${name} must be whole numbers`);
  return numbers.sort((a, b) => a - b);
}

function settings() {
  const { values } = parseArgs({ options: OPTIONS });
  return {
    output: resolve(values.output),
    lengths: whole('lengths', values.lengths),
    contexts: whole('contexts', values.contexts),
    backends: among('backends', values.backends, ['cpu', 'webgpu']),
    rounds: Math.ceil(positive('rounds', values.rounds)),
    passLimitMs: 1000 * positive('pass-limit', values['pass-limit']),
    parts: among('parts', values.parts, ['kernels', 'shares', 'memory', 'exponents', 'peers', 'convolution', 'decode']),
    modules: values.module,
    budgetMs: 1000 * positive('budget', values.budget),
  };
}

/**
 * Additional flags of Chromium. On a software adapter a pass of some libraries takes seconds, during which the GPU
 * process does not respond: its watchdog would terminate it, and after a few terminations the browser would exit.
 */
const PATIENT = ['--disable-gpu-watchdog', '--disable-gpu-process-crash-limit'];

/** Returns a function that opens a Chromium with this machine's adapter, or else with a software adapter. */
async function launcher(url, wantsGpu) {
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const open = (...args) =>
    chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--headless=new', '--enable-unsafe-webgpu', ...PATIENT, ...args, ...sandbox],
    });
  if (!wantsGpu) return () => open();
  const browser = await open();
  try {
    const page = await browser.newPage();
    await page.goto(url);
    const adapter = await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
    return adapter ? () => open() : () => open('--use-webgpu-adapter=swiftshader');
  } finally {
    await browser.close();
  }
}

const version = (name) =>
  JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url), 'utf8')).version;

function describe(environment, browser) {
  const [cpu] = os.cpus();
  const gpu = environment.gpu
    ? `${environment.gpu.description || environment.gpu.vendor}${environment.gpu.fallback ? ' (software)' : ''}`
    : `none (${environment.gpuMissing})`;
  return {
    hardware:
      `${cpu?.model.trim() ?? 'unknown CPU'}, ${environment.cores} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ` +
      `${os.type()} ${os.arch()}; WebGPU adapter: ${gpu}`,
    versions:
      `Chromium ${browser.version()}; Crossover ${environment.build}, ${environment.simd}, ${environment.threads === 1 ? '1 thread (its rows for 1 and all threads are the same)' : `${environment.threads} threads`}; ` +
      `onnxruntime-web ${version('onnxruntime-web')}; TensorFlow.js ${version('@tensorflow/tfjs-core')}; jax-js ${version('@jax-js/jax')}`,
  };
}

async function main() {
  const chosen = settings();
  const log = (line) => console.log(line);
  const date = new Date().toISOString().slice(0, 10);
  const loadBefore = os.loadavg()[0];
  const server = await serve();
  provide(server, PRODUCTS);
  const launch = await launcher(server.url, chosen.backends.includes('webgpu'));
  const browser = await launch();
  try {
    const context = await browser.newContext();
    const own = await context.newPage();
    const about = async () => {
      await own.goto(`${server.url}bench/index.html?contender=own`);
      await own.waitForFunction(() => window.bench);
      return own.evaluate(() => window.bench.about());
    };
    const environment = await about();
    const { hardware, versions } = describe(environment, browser);
    const software = environment.gpu?.fallback ?? false;
    const result = { date, hardware, versions, kernels: [], shares: [], contests: [], memory: [], exponents: [], rounds: chosen.rounds };
    log(`${hardware}\n${versions}`);
    const write = async () => {
      const load = `the machine's load average was ${loadBefore.toFixed(1)} before the run, on ${os.cpus().length} cores; ` +
        `${os.loadavg()[0].toFixed(1)} at its end.` +
        (loadBefore > 0.5 ? ' Other programs ran at the same time: ratios are worth more than times.' : '');
      const text = markdown({ ...result, load });
      await mkdir(dirname(chosen.output), { recursive: true });
      await writeFile(chosen.output, text);
      return text;
    };

    if (chosen.parts.includes('kernels') && chosen.modules.length > 0) {
      log('kernels alone');
      result.kernels = await measure(context, server.url, { modules: chosen.modules, workloads: TABLE, rounds: 5, roundMs: 20 });
    }
    // Memory is measured before the larger parts, while the browser has allocated little.
    if (chosen.parts.includes('memory')) {
      log('memory');
      result.memory = await memory(own, { lengths: [2048, 8192, 32768], budgetMs: chosen.budgetMs, log });
    }
    if (chosen.parts.includes('exponents')) {
      log('exponents');
      const races = [
        { system: 'attention', lengths: [4096, 8192, 16384, 32768], goal: '1.8–2.1' },
        { system: 'hyena', lengths: [4096, 8192, 16384, 32768, 65536], goal: 'below 1.2' },
      ];
      result.exponents = await exponents(own, { budgetMs: chosen.budgetMs, log, races });
    }
    if (chosen.parts.includes('shares')) {
      log('every system');
      const systems = await own.evaluate(() => window.bench.call('systems'));
      result.shares = await shares(own, { systems, length: 4096, budgetMs: chosen.budgetMs, log });
    }
    await write();
    // Close the browser: the contenders have their own, and its idle threads would disturb them.
    await browser.close();
    for (const backend of chosen.backends) {
      // The idle threads of the other backend would disturb the measurement.
      const contest = new Contest(launch, server.url, { ...chosen, backends: [backend], software, log });
      const attention = chosen.parts.includes('peers') ? [false, true].map((causal) => ({ work: 'attention', causal })) : [];
      const convolution = chosen.parts.includes('convolution') && backend === 'webgpu' ? [{ work: 'hyena', causal: true }] : [];
      const decode = chosen.parts.includes('decode') ? [{ work: 'decode', causal: true }] : [];
      for (const { work, causal } of [...attention, ...convolution, ...decode]) {
        for (const length of work === 'decode' ? chosen.contexts : chosen.lengths) {
          log(`${backend}, ${work}, L = ${length}, ${causal ? 'causal' : 'not causal'}`);
          const problem = { work, length, causal, width: 256, heads: 4 };
          const rows = await contest.run(problem);
          merge(result.contests, { problem, rows });
          // An interrupted run keeps its finished measurements.
          await write();
        }
      }
      await contest.close();
    }
    log(`\n${await write()}\nwritten to ${chosen.output}`);
  } finally {
    await browser.close();
    await server.stop();
  }
}

/** Adds the rows of a contest to those of an equal problem on another backend. */
function merge(contests, contest) {
  const { work, length, causal } = contest.problem;
  const same = contests.find(({ problem }) => problem.work === work && problem.length === length && problem.causal === causal);
  if (same) same.rows.push(...contest.rows);
  else contests.push(contest);
}

main().catch((error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
