// Ratios of times measured in common rounds.

import { median, quantile } from './page/median.js';
import { generator } from './page/problem.js';

const REPLICATES = 2000;

/**
 * Ratio of `theirs` to `ours`: the median of the rounds' ratios, and the central 95% of that median over resampled
 * rounds. Rounds without both times do not count.
 *
 * @param {(number | null)[]} theirs
 * @param {(number | null)[]} ours
 * @returns {{estimate: number, low: number, high: number, rounds: number} | null}
 */
export function ratio(theirs, ours) {
  const ratios = theirs.flatMap((time, round) => (time > 0 && ours[round] > 0 ? [time / ours[round]] : []));
  if (ratios.length === 0) return null;
  const random = generator(1);
  const draw = () => median(ratios.map(() => ratios[Math.floor(random() * ratios.length)]));
  const medians = Array.from({ length: REPLICATES }, draw);
  return {
    estimate: median(ratios),
    low: quantile(medians, 0.025),
    high: quantile(medians, 0.975),
    rounds: ratios.length,
  };
}
