/**
 * Reads counts from one of two sources: the counts by minute, ad and country if these can answer the question, otherwise
 * raw clicks. Each result says how final it can be. These functions must be called after progress was read
 * (`finality.ts`), inside `StatedReading.at`.
 */
import { Type } from 'typebox';
import { givingWay, mapped } from '../../infra/slices.ts';
import type { Routing } from '../log/hot-ad-rules.ts';
import { type AdCount, type AdCursor, type Counts, noClicks, type StatedSelection } from '../store/ad-counts.ts';
import { type ClickFilter, countryOf, needsRaw } from '../store/filters/click-filter.ts';
import { type Finality, finalityOfRaw } from '../store/finality.ts';
import type { AdIds, AdName, GroupQueries } from '../store/group-counts.ts';
import type { ClickKind } from '../store/net-and-gross.ts';
import type { RawCounts, RawQueries, RawSelection } from '../store/raw-counts.ts';
import type { RawCoverage } from '../store/raw-coverage.ts';
import type { TopQueries } from '../store/rollup/top-lists.ts';
import type { StatedRange } from '../store/sql/stated-rows.ts';
import { type Step, stepsOf } from '../time/steps.ts';
import { type ShownClicks, type ShownCounts, shownClicksOf, shownCountsOf } from './shown-counts.ts';
import { type CountedUniques, type Uniques, uniquesOf } from './uniques.ts';

/** Which clicks are asked for, and whether their users are to be counted too. */
export interface Wanted extends StatedRange {
  readonly adIds: AdIds;
  readonly filter: ClickFilter;
  readonly uniques: boolean;
  /** What `count` counts, and what gives the order. Left out: net clicks, or distinct ones where net is not known. */
  readonly clicks?: ClickKind;
}

export interface ReadCounts extends ShownCounts {
  readonly uniques?: Uniques;
}

export interface ReadAd extends ShownClicks {
  readonly ad_id: string;
  readonly uniques?: Uniques;
}

export interface Reading<T> {
  readonly source: 'counts' | 'raw';
  readonly rows: readonly T[];
  /** The finality of all rows together. */
  readonly finality: Finality;
}

export interface ReadPoint extends ReadCounts {
  readonly ad_id: string;
  readonly start: number;
  readonly finality: Finality;
}

export interface ReadDeps {
  readonly tops: Pick<TopQueries, 'popularAds'>;
  readonly groups: GroupQueries;
  readonly raw: RawQueries;
  readonly rawCoverage: Pick<RawCoverage, 'until'>;
  /** Which ads are split, over how many partitions. Undefined: Kafka does not answer. */
  readonly routing: () => Promise<Routing | undefined>;
}

export const sourceField = Type.Enum(['counts', 'raw'], {
  type: 'string',
  description:
    '`counts`: read from the counts by minute, ad and country. `raw`: counted now from raw clicks, because the request has a user, an address or uniques. A click that came too late is in raw at once, but in the counts only after a restatement. An answer from raw is `provisional` as long as raw and the counts have different clicks, or as long as it is unknown whether they have.',
});

export function isFromRaw({ filter, uniques }: Pick<Wanted, 'filter' | 'uniques'>): boolean {
  return uniques || needsRaw(filter);
}

/** Returns the selection in which restatements are looked for, whichever source was read. */
export function selectionOf({ from, to, isSettled, filter, clicks, reasons = false }: Wanted): StatedSelection {
  return { from, to, isSettled, country: countryOf(filter), reasons, ...(clicks && { clicks }) };
}

/** `undone` is taken away from the counts. */
export async function readTotals(
  deps: ReadDeps,
  wanted: Wanted,
  finality: Finality,
  undone: () => Promise<Counts> = async () => noClicks,
): Promise<Reading<ReadCounts>> {
  const { groups, raw } = deps;
  if (!isFromRaw(wanted)) {
    const [taken, counts] = await Promise.all([undone(), groups.totals(wanted.adIds, selectionOf(wanted))]);
    return { source: 'counts', rows: [shownCountsOf(without(counts, taken), wanted.clicks)], finality };
  }
  const provable = await provableOf(deps, wanted, finality);
  const { differs, ...counts } = await raw.totals(wanted);
  return await withUniques(raw, wanted, provable, 'all', differs, [{ ...counts, name: '' }]);
}

function without(counts: Counts, taken: Counts): Counts {
  const left = (field: 'count' | 'duplicates' | 'late' | 'invalid') => Math.max(0, counts[field] - taken[field]);
  return {
    ...counts,
    count: left('count'),
    duplicates: left('duplicates'),
    late: left('late'),
    invalid: left('invalid'),
  };
}

export async function readPopularAds(
  deps: ReadDeps,
  limit: number,
  wanted: Wanted,
  finality: Finality,
  after: AdCursor | undefined,
): Promise<Reading<ReadAd>> {
  const { tops, raw } = deps;
  if (!isFromRaw(wanted)) {
    const ads = await tops.popularAds(limit, selectionOf(wanted), after);
    return { source: 'counts', rows: ads.map(ad => shownAd(ad, wanted)), finality };
  }
  const provable = await provableOf(deps, wanted, finality);
  const { ads, differs } = await raw.popularAds(limit, wanted, after);
  const listed = { ...wanted, adIds: ads.map(ad => ad.ad_id) };
  const rows = ads.map(({ ad_id, ...counts }) => ({ ...counts, name: ad_id }));
  const reading = await withUniques(raw, listed, provable, 'ad', differs, rows);
  return {
    ...reading,
    rows: reading.rows.map(({ name, count, gross, net, invalid, uniques }) => ({
      ...{ ad_id: name, count, gross, net, invalid },
      ...(uniques ? { uniques } : {}),
    })),
  };
}

function shownAd(ad: AdSums, { clicks }: Pick<Wanted, 'clicks'>): ReadAd {
  return { ad_id: ad.ad_id, ...shownClicksOf({ ...ad, invalid: ad.invalid ?? null }, clicks) };
}

/** Raw clicks have no `invalid`. */
type AdSums = Omit<AdCount, 'invalid'> & Partial<Pick<AdCount, 'invalid'>>;

/** Returns the ads whose id matches `name` and that were clicked, ordered by clicks and then by ad_id. */
export async function readNamedAds(
  deps: ReadDeps,
  name: AdName,
  limit: number,
  wanted: Wanted,
  finality: Finality,
  after: AdCursor | undefined,
): Promise<Reading<ReadAd>> {
  const { groups, raw } = deps;
  if (!isFromRaw(wanted)) {
    const selection = selectionOf(wanted);
    const rows =
      name.text !== ''
        ? await groups.adsByText(name, limit, selection, after)
        : name.prefix !== ''
          ? await groups.adsByPrefix(name.prefix, limit, selection, after)
          : await anyAds(deps, limit, selection, after);
    return { source: 'counts', rows: rows.map(ad => shownAd(ad, wanted)), finality };
  }
  const provable = await provableOf(deps, wanted, finality);
  const { ads, differs } = await raw.popularAds(limit, { ...wanted, name }, after);
  return {
    source: 'raw',
    rows: ads.map(ad => shownAd(ad, wanted)),
    finality: finalityOfRaw(provable, differs === 1),
  };
}

/**
 * Returns the ads that were clicked, whatever their id is. Top lists tell the first ones soon, and leave out ads of which
 * no click is valid. These come last, so they are read from the rows of all ads where a list does not fill the page.
 */
async function anyAds(
  { tops, groups }: ReadDeps,
  limit: number,
  selection: StatedSelection,
  after: AdCursor | undefined,
): Promise<AdCount[]> {
  const listed = await tops.popularAds(limit, selection, after);
  return listed.length === limit ? listed : await groups.adsByPrefix('', limit, selection, after);
}

/** Returns the ranks that ads of a list have in another range. */
export async function readRanks(
  deps: ReadDeps,
  adIds: AdIds,
  wanted: Wanted,
  finality: Finality,
): Promise<Reading<ReadAd & { readonly rank: number }>> {
  const { groups, raw } = deps;
  const shown = (ad: AdSums & { readonly rank: number }) => ({ ...shownAd(ad, wanted), rank: ad.rank });
  if (adIds.length === 0) return { source: 'counts', rows: [], finality };
  if (!isFromRaw(wanted)) {
    const ranks = await groups.ranks(adIds, selectionOf(wanted));
    return { source: 'counts', rows: ranks.map(shown), finality };
  }
  const provable = await provableOf(deps, wanted, finality);
  const { ranks, differs } = await raw.ranks(adIds, wanted);
  return { source: 'raw', rows: ranks.map(shown), finality: finalityOfRaw(provable, differs === 1) };
}

export async function readCountries(
  deps: ReadDeps,
  wanted: Wanted,
  finality: Finality,
): Promise<Reading<ReadCounts & { readonly country: string }>> {
  const { groups, raw } = deps;
  if (!isFromRaw(wanted)) {
    const counts = await groups.countries(wanted.adIds, selectionOf(wanted));
    const rows = counts.map(row => ({ country: row.country, ...shownCountsOf(row, wanted.clicks) }));
    return { source: 'counts', rows, finality };
  }
  const provable = await provableOf(deps, wanted, finality);
  const { countries, differs } = await raw.countries(wanted);
  const rows = countries.map(({ country, ...counts }) => ({ ...counts, name: country }));
  const reading = await withUniques(raw, wanted, provable, 'country', differs, rows);
  return { ...reading, rows: reading.rows.map(({ name, ...counts }) => ({ country: name, ...counts })) };
}

/** Each point has its own finality. */
export async function readSeries(
  deps: ReadDeps,
  step: Step,
  wanted: Wanted,
  finality: Finality,
): Promise<Reading<ReadPoint>> {
  const { groups, raw } = deps;
  if (!isFromRaw(wanted)) {
    const rows = await groups.series(wanted.adIds, step, selectionOf(wanted));
    const shown = await givingWay(mapped(rows, row => shownPoint({ ...row, finality }, wanted)));
    return { source: 'counts', rows: shown, finality };
  }
  const isUnprovable = await unprovableOf(deps, wanted);
  const stepAt = new Map(stepsOf(wanted, step).map(range => [range.from, range]));
  const found = (await raw.series(wanted, step)).map(({ differs, users, ...row }) => {
    const asked = { ...(stepAt.get(row.start) ?? wanted), adIds: row.ad_id === '' ? [] : [row.ad_id] };
    return { ...row, isProven: differs === 0 && !isUnprovable(asked) };
  });
  return {
    source: 'raw',
    rows: found.map(({ isProven, ...row }) =>
      shownPoint({ ...row, ...unknown, finality: finalityOfRaw(finality, !isProven) }, wanted),
    ),
    finality: finalityOfRaw(
      finality,
      found.some(({ isProven }) => !isProven),
    ),
  };
}

/** What raw clicks do not say. */
const unknown = { late: null, invalid: null };

function shownPoint(
  row: Parameters<typeof shownCountsOf>[0] & Pick<ReadPoint, 'ad_id' | 'start' | 'finality'>,
  { clicks }: Pick<Wanted, 'clicks'>,
): ReadPoint {
  return { ad_id: row.ad_id, start: row.start, finality: row.finality, ...shownCountsOf(row, clicks) };
}

/** Returns how final an answer from raw can be, before its numbers are compared with the counts. */
async function provableOf(deps: ReadDeps, wanted: Asked, finality: Finality): Promise<Finality> {
  const isUnprovable = await unprovableOf(deps, wanted);
  return finalityOfRaw(finality, isUnprovable(wanted));
}

type Asked = Pick<Wanted, 'adIds' | 'from' | 'to'>;

/**
 * Returns a function that says, of a part of `wanted`, whether equal numbers in raw and counts prove nothing. That is so
 * if one of its ads was split in its minutes, or if nobody knows. The clicks of a split ad are in several partitions, and
 * raw may lack a click of one of them that is counted (`raw-counts.ts`, `raw-coverage.ts`). Rules are known long before
 * their minutes are final, and they are kept longer than raw clicks. Must be called before raw is read.
 */
async function unprovableOf({ routing, rawCoverage }: ReadDeps, wanted: Asked): Promise<(part: Asked) => boolean> {
  const rules = (await routing())?.rules;
  if (rules === undefined) return () => true;
  const isSplit = ({ adIds, from, to }: Asked) =>
    rules.some(rule => rule.from < to && from < rule.until && (adIds.length === 0 || adIds.includes(rule.adId)));
  if (!isSplit(wanted)) return () => false;
  const coveredUntil = await rawCoverage.until();
  return part => isSplit(part) && (coveredUntil === null || part.to > coveredUntil);
}

type Named = RawCounts & { readonly name: string };

async function withUniques(
  raw: RawQueries,
  wanted: RawSelection & Pick<Wanted, 'clicks'>,
  finality: Finality,
  by: 'ad' | 'country' | 'all',
  differs: number,
  rows: readonly Named[],
): Promise<Reading<ReadCounts & { readonly name: string }>> {
  const uniques: CountedUniques | undefined = wanted.uniques ? await uniquesOf(raw, by, wanted, rows) : undefined;
  return {
    source: 'raw',
    rows: rows.map(({ name, count, duplicates }) => {
      const own = uniques?.of.get(name);
      const counts = shownCountsOf({ count, duplicates, ...unknown }, wanted.clicks);
      return { name, ...counts, ...(own ? { uniques: own } : {}) };
    }),
    // If counts and users are of two moments, the answer is not final, even if each of them is.
    finality: finalityOfRaw(finality, differs === 1 || uniques?.hasMoved === true),
  };
}
