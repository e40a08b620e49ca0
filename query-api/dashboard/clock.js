/** What time it is for the server, whose minutes are shown: a viewer's clock may be wrong by more than a minute or two. */
const tellsNothingMs = 120_000;
let skewMs = 0;

export const serverTime = () => Date.now() + skewMs;

/**
 * `at`: epoch ms, when the server made what has just come. It may have been a while on its way.
 * @param {number} at
 */
export function hearTime(at) {
  const skew = at - Date.now();
  skewMs = Math.abs(skew) > tellsNothingMs ? skew : 0;
}
