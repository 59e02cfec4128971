// Measures a duration on a machine with other load.

/**
 * The least of up to five measurements; stops as soon as one is below `limit`. The limit applies to the page's own
 * work, not to delays by other programs.
 * @param {number} limit
 * @param {() => Promise<number>} measure
 */
export async function least(limit, measure) {
  let best = Infinity;
  for (let attempt = 0; attempt < 5 && best >= limit; attempt += 1) best = Math.min(best, await measure());
  return best;
}
