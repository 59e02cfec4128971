// The project's kernels through the public page API. Variants: `cpu-1`, `cpu-all`, `webgpu`.

import * as crossover from '/crossover.js';
import { safetensors } from './safetensors.js';

/** Budget in ms of a race of one point: verification of a small problem, set-up, warm-up and samples. */
const BUDGET_MS = 4000;
/** Number of attempts; a race that exceeded its budget is repeated with four times the budget. */
const ATTEMPTS = 3;

export async function open() {
  return {
    about: () => crossover.environment(),
    race: (config) => crossover.race(config),
    systems: () => crossover.systems(),

    async load(problem, inputs, variant) {
      const [backend, threads] = variant.split('-');
      let budgetMs = BUDGET_MS;
      /** The point of a race at one length. */
      async function point({ work, length, width, heads, causal }) {
        const raced =
          work === 'decode'
            ? { systems: [{ system: 'attention', backend }], mode: 'decode', contexts: [length] }
            : { systems: [{ system: work, backend }], lengths: [length], causal };
        let message = 'no point';
        for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
          const report = await crossover.race({
            ...raced,
            ...{ width, heads, batch: 1, level: 'core', budgetMs },
            threads: threads === '1' ? 1 : 'auto',
          });
          const [found] = report.lanes[0].points;
          if (found?.outcome === 'ok') return found;
          message = `${found?.outcome}: ${found?.message}`;
          if (found?.outcome !== 'time-budget') break;
          budgetMs *= 4;
        }
        throw new Error(message);
      }
      return {
        // y of another contender becomes a golden file, so that our output is computed from equal q, k and v.
        async compare(y) {
          // A race of generated tokens compares its answers with f64 itself.
          if (problem.work === 'decode') return (await point(problem)).verified?.maxAbs ?? NaN;
          const bytes = safetensors(problem, { ...inputs, y });
          return (await crossover.verify(bytes, { backend })).maxAbs ?? NaN;
        },
        async round(asked) {
          const { medianMs: ms, samples } = await point(asked);
          return { ms, samples };
        },
        free() {},
      };
    },
  };
}
