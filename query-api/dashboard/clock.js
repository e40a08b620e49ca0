/** The time of the server, whose minutes are shown. The clock of a viewer may be wrong by many minutes. */
/** A smaller difference is not corrected: it may just be the time for which an event travelled. */
const ignoredSkewMs = 120_000;
let skewMs = 0;

export const serverTime = () => Date.now() + skewMs;

/**
 * Learns the time of the server from an event that has just arrived. `at` says when the server made it, in epoch ms.
 * @param {number} at
 */
export function hearTime(at) {
  const skew = at - Date.now();
  skewMs = Math.abs(skew) > ignoredSkewMs ? skew : 0;
}
