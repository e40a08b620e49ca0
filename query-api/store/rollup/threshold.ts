/**
 * Pure: the exact top list from lists that each name only their own top. (Fagin's threshold idea, as in TPUT.)
 *
 * A list names ads with their clicks, and says how many clicks an ad has at most that it does not name. Over all lists an
 * ad's sum is at least what is listed, and at most that plus the bounds of those lists that do not name it. With N ads
 * known to have at least τ, whoever has at most less than τ is out. Of the others those that every list names, or whose
 * lists without them bound nothing, are exact; the rest is looked up.
 */

export interface Listed {
  readonly ad_id: string;
  /** Sum of the clicks in the lists that name the ad. */
  readonly listed: number;
  /** Sum of the bounds of those lists. */
  readonly bounds: number;
}

export interface AdCount {
  readonly ad_id: string;
  readonly count: number;
}

export interface Settled {
  readonly exact: readonly AdCount[];
  /** To be looked up: with their sums, the top is among both. */
  readonly doubtful: readonly string[];
}

/**
 * `ads` are those with the highest upper bounds, in that order; `isAll`: none is left out. `allBounds`: the bounds of
 * all lists. Undefined: the lists are too short to tell.
 */
export function settle(ads: readonly Listed[], allBounds: number, limit: number, isAll: boolean): Settled | undefined {
  const upper = ({ listed, bounds }: Listed) => listed + allBounds - bounds;
  const least = ads.map(({ listed }) => listed).sort((a, b) => b - a)[limit - 1] ?? 0;
  // Strictly: an ad that may have as many would come into question by its name.
  if (allBounds > 0 && allBounds >= least) return undefined;
  const last = ads.at(-1);
  if (!isAll && (last === undefined || upper(last) >= least)) return undefined;
  const candidates = ads.filter(ad => upper(ad) >= least);
  return {
    exact: candidates
      .filter(({ bounds }) => bounds === allBounds)
      .map(({ ad_id, listed }) => ({ ad_id, count: listed })),
    doubtful: candidates.filter(({ bounds }) => bounds !== allBounds).map(({ ad_id }) => ad_id),
  };
}

/** By clicks, then by name; ads without clicks are none. */
export function topOf(ads: readonly AdCount[], limit: number): AdCount[] {
  return ads
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count || (a.ad_id < b.ad_id ? -1 : 1))
    .slice(0, limit);
}
