/**
 * Pure: computes the exact top list from lists that each name only their own top ads. (This is Fagin's threshold idea,
 * as in TPUT.)
 *
 * A list names ads with their net clicks. Its bound says how many an ad can have at most that the list does not name. It
 * is 0 only if the list leaves no ad out that has any clicks, also invalid ones or copies. The sum
 * of an ad over all lists is at least what is listed. It is at most that plus the bounds of the lists that do not name
 * the ad. When N ads are known to have at least τ clicks, an ad that has fewer than τ at most cannot be in the top N.
 * The remaining ads are exact if each list names them or has the bound 0. The others are looked up.
 */

import type { AdCount } from '../ad-counts.ts';
import { type ClickKind, clicksOf } from '../net-and-gross.ts';

export interface Listed {
  readonly ad_id: string;
  /** The sum of the net clicks in the lists that name the ad. */
  readonly listed: number;
  /** The sum of the bounds of these lists. */
  readonly bounds: number;
  /** The sums of what these lists say beside the clicks. */
  readonly duplicates: number;
  readonly invalid: number;
}

export interface Settled {
  readonly exact: readonly AdCount[];
  /** Ads whose sums must be looked up. The top list is made of these and the exact ads. */
  readonly doubtful: readonly string[];
}

/**
 * `ads` are the ads with the highest upper bounds, in that order. `isAll` says that no ad is left out. `allBounds` is the
 * sum of the bounds of all lists. Returns undefined when the lists are too short to decide.
 */
export function settle(ads: readonly Listed[], allBounds: number, limit: number, isAll: boolean): Settled | undefined {
  const upper = ({ listed, bounds }: Listed) => listed + allBounds - bounds;
  const least = ads.map(({ listed }) => listed).sort((a, b) => b - a)[limit - 1] ?? 0;
  // An ad with an equal number of clicks would be a candidate too, because its id decides. So the bound must be lower.
  if (allBounds > 0 && allBounds >= least) return undefined;
  const last = ads.at(-1);
  if (!isAll && (last === undefined || upper(last) >= least)) return undefined;
  const candidates = ads.filter(ad => upper(ad) >= least);
  return {
    exact: candidates
      .filter(({ bounds }) => bounds === allBounds)
      .map(({ ad_id, listed, duplicates, invalid }) => ({ ad_id, count: listed + invalid, duplicates, invalid })),
    doubtful: candidates.filter(({ bounds }) => bounds !== allBounds).map(({ ad_id }) => ad_id),
  };
}

/** Returns the ads in the order of clicks of a kind, then of ad_id, without ads that have none. */
export function topOf(ads: readonly AdCount[], limit: number, kind: ClickKind = 'net'): AdCount[] {
  return ads
    .filter(ad => clicksOf(ad, kind) > 0)
    .sort((a, b) => clicksOf(b, kind) - clicksOf(a, kind) || (a.ad_id < b.ad_id ? -1 : 1))
    .slice(0, limit);
}
