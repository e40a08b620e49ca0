/** The numbers of one ad in the range. Each card of the ad fills some of them. */
import { createTiles } from './tiles.js';

/** @import { Address } from '../address.js' */
/** @import { Range } from '../range.js' */
/** @import { createLinesSum } from './lines-sum.js' */

/**
 * What the cards of one ad share. They ask only while the address names an ad.
 * @typedef {{ address(): Address, range(): Range, readonly tiles: ReturnType<typeof createAdTiles>,
 *   readonly linesSum: ReturnType<typeof createLinesSum> }} AdParts
 */

export function createAdTiles() {
  return createTiles('In the range', {
    count: 'Clicks, net',
    invalid: 'Invalid, not billed',
    duplicates: 'Duplicates, not billed',
    late: 'Late, counted',
    restated: 'Added by restatements',
    waiting: 'Late, waiting',
    never: 'Quarantined, not counted',
  });
}
