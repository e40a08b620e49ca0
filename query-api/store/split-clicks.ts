/**
 * Finds clicks of split ads whose caps were applied in each partition alone, so that more of them may be invalid than is
 * stated: their final minutes wait for a restatement, which has all clicks of a minute together (decision 044).
 *
 * Rows alone decide which minutes wait. A minute does if some cell (ad, country) has valid clicks in several partitions
 * under a version of the rules that has caps, and if no recount of the minute is visible. A recount of a final minute
 * reads all its clicks, and nothing can be added later but clicks that come too late, which cause a recount of their
 * own. So a minute that does not wait never waits again. Jobs and their states do not matter, as for late clicks
 * (`late-clicks.ts`).
 *
 * Only minutes are looked at in which an ad was split while caps held (`split-minutes.ts`), each of them once, when it
 * is final. So it costs nothing where no ad is split or no rules have caps.
 */
import { Type } from 'typebox';
import { forNobody, whileAsked } from '../../infra/asking.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { minuteMs, stepsMs, type TimeRange } from '../time/time-range.ts';
import { rawSince } from './raw-retention.ts';
import { cappedVersions, type SplitRules, splitAdsIn, splitMinutesIn } from './split-minutes.ts';
import { readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { minuteWithin } from './sql/within.ts';
import { type WaitingClicks, waitingOf } from './waiting-clicks.ts';

/** The clicks of split ads that wait, at the moment when they were read. */
export interface SplitClicks {
  /** The most of them that can turn out to be invalid. */
  readonly clicks: number;
  /** Their minutes (epoch ms), in order. */
  readonly minutes: readonly number[];
  /**
   * Returns a function that counts the waiting clicks of these ads (empty: of all ads) in a range. It returns null when
   * this is not known, because this process has not heard which ads were split in a final minute of the range.
   */
  of(adIds: readonly string[]): (range: TimeRange) => number | null;
}

export interface SplitClicksOptions {
  readonly clickhouse: ClickHouse;
  readonly splitRules: SplitRules;
  /** Epoch ms. */
  readonly now: () => number;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
  /** For how long it is told that a minute waits before its recount is looked for again. */
  readonly keepMs?: number;
}

/** Answers for the minutes before `finalUntil` (epoch ms, or null while nothing is final). */
export type SplitReading = (finalUntil: number | null) => Promise<SplitClicks>;

/** Must be read after progress, whose `finalUntil` it is given, and BEFORE counts, like late clicks. */
export function createSplitClicks(options: SplitClicksOptions): SplitReading {
  const { splitRules, clock = () => performance.now(), keepMs = 1_000 } = options;
  const look = createLook(options);
  let known: Known = { until: 0, rows: [], keptUntil: Number.POSITIVE_INFINITY };
  let asking: Promise<Known> | undefined;
  const covers = ({ until, rows, keptUntil }: Known, wanted: number) =>
    until >= wanted && (rows.length === 0 || clock() < keptUntil);
  const ask = async (wanted: number): Promise<Known> => {
    try {
      const found = await look(wanted);
      known = { ...found, keptUntil: clock() + keepMs };
      return known;
    } finally {
      asking = undefined;
    }
  };
  return async finalUntil => {
    const final = floorMinute(finalUntil ?? 0);
    const wanted = Math.min(final, floorMinute(splitRules.rulesKnownUntil));
    // What others have asked for may reach less far.
    let found = known;
    while (!covers(found, wanted)) {
      const isOwn = asking === undefined;
      asking ??= forNobody(() => ask(wanted));
      found = await whileAsked(asking);
      if (isOwn) break;
    }
    return splitClicksOf(found.rows, { from: wanted, to: final });
  };
}

/** `unknown` contains the final minutes of which nothing is known. `rows` must be in the order of minutes. */
export function splitClicksOf(rows: readonly WaitingClicks[], unknown: TimeRange = nothing): SplitClicks {
  return {
    clicks: rows.reduce((sum, { clicks }) => sum + clicks, 0),
    minutes: [...new Set(rows.map(({ minute }) => minute))],
    of(adIds) {
      const within = waitingOf(rows, adIds);
      return range => {
        const isUnknown = Math.max(range.from, unknown.from) < Math.min(range.to, unknown.to);
        return isUnknown ? null : within(range);
      };
    },
  };
}

const nothing: TimeRange = { from: 0, to: 0 };

interface Known {
  /** All final minutes before this are looked at. */
  readonly until: number;
  readonly rows: readonly WaitingClicks[];
  readonly keptUntil: number;
}

/** Looks at each minute once, and after that only whether those that wait are recounted. One call at a time. */
function createLook({ clickhouse, splitRules, now }: SplitClicksOptions) {
  let lookedUntil = 0;
  let waiting: readonly WaitingClicks[] = [];
  return async (until: number): Promise<Omit<Known, 'keptUntil'>> => {
    const since = rawSince(now());
    let rows = waiting.filter(({ minute }) => minute >= since);
    const fresh = splitMinutesIn(splitRules, { from: Math.max(lookedUntil, since), to: until });
    // Those that wait were looked at before, so they are earlier.
    const asked = [...rows.map(({ minute }) => minute), ...fresh];
    const recounted = asked.length === 0 ? new Set<number>() : await readRecounted(clickhouse, hullOf(asked));
    rows = rows.filter(({ minute }) => !recounted.has(minute));
    const isLookedAt = splitAt(splitRules, new Set(fresh));
    for (const range of slicesOf(
      splitRules,
      fresh.filter(minute => !recounted.has(minute)),
    )) {
      const found = await readSplit(clickhouse, splitRules, range, mostPairs - rows.length);
      for (const row of found) if (isLookedAt(row)) rows.push(row);
    }
    waiting = rows;
    lookedUntil = Math.max(lookedUntil, until);
    return { until: lookedUntil, rows };
  };
}

/** The number of pairs of minute and ad that are kept in memory, besides one for each minute. */
const mostPairs = 100_000;
/** Statements name their ads. */
const mostAds = 500;
/** A statement groups the clicks of split ads in at most a day. */
const timeoutMs = 30_000;

/** Divides minutes, which are in order, into ranges of a day at most, in each of which few ads are split. */
function slicesOf(splitRules: SplitRules, minutes: readonly number[]): TimeRange[] {
  const [first] = minutes;
  if (first === undefined) return [];
  const end = minutes.findIndex(minute => minute >= first + stepsMs.day);
  const taken = end === -1 ? minutes : minutes.slice(0, end);
  return [...halves(splitRules, taken), ...slicesOf(splitRules, minutes.slice(taken.length))];
}

function halves(splitRules: SplitRules, minutes: readonly number[]): TimeRange[] {
  const range = hullOf(minutes);
  if (minutes.length === 1 || splitAdsIn(splitRules, range).length <= mostAds) return [range];
  const middle = minutes.length >> 1;
  return [...halves(splitRules, minutes.slice(0, middle)), ...halves(splitRules, minutes.slice(middle))];
}

/** Returns the range from the first minute to the last one. They must be in order. */
function hullOf(minutes: readonly number[]): TimeRange {
  return { from: minutes[0] ?? 0, to: (minutes.at(-1) ?? 0) + minuteMs };
}

const WaitingRow = rowShape('clicks of split ads', {
  minute: Type.Integer(),
  ad_id: Type.String(),
  clicks: Type.Integer(),
});

/**
 * Caps let through at least as many clicks of a cell as of its part in one partition. So of the valid clicks of a cell,
 * at most those of the other partitions can be invalid.
 */
async function readSplit(
  clickhouse: ClickHouse,
  splitRules: SplitRules,
  range: TimeRange,
  pairs: number,
): Promise<WaitingClicks[]> {
  const read = async (adId: Sql, limit: number) =>
    await readRows(
      clickhouse,
      WaitingRow,
      statement`SELECT toUnixTimestamp(m) * 1000 AS minute, ${adId} AS ad_id, sum(at_most) AS clicks
       FROM (
         SELECT m, ad, sum(valid) - max(valid) AS at_most
         FROM (
           SELECT minute AS m, ad_id AS ad, country, toInt64(clicks) - toInt64(invalid) AS valid
           FROM ${sharded('ad_minute_by_ad')} FINAL
           WHERE ad_id IN ${splitAdsIn(splitRules, range)} AND ${minuteWithin(range)} AND rules IN ${cappedVersions(splitRules)}
             AND minute NOT IN (SELECT minute FROM recounted_minute WHERE ${minuteWithin(range)})
         )
         GROUP BY m, ad, country HAVING at_most > 0
       )
       GROUP BY minute, ad_id ORDER BY minute, ad_id LIMIT ${limit} ${settingsOf(limit, timeoutMs)}`,
    );
  if (pairs > 0) {
    const rows = await read(sql`ad`, pairs + 1);
    if (rows.length <= pairs) return rows;
  }
  return await read(sql`''`, stepsMs.day / minuteMs);
}

const RecountedRow = rowShape('recounted minutes', { minute: Type.Integer() });

async function readRecounted(clickhouse: ClickHouse, range: TimeRange): Promise<Set<number>> {
  const rows = await readRows(
    clickhouse,
    RecountedRow,
    statement`SELECT toUnixTimestamp(m) * 1000 AS minute
     FROM (SELECT DISTINCT minute AS m FROM recounted_minute WHERE ${minuteWithin(range)})
     ${settingsOf((range.to - range.from) / minuteMs, timeoutMs)}`,
  );
  return new Set(rows.map(({ minute }) => minute));
}

/**
 * A statement reads all minutes of a range, and all ads that were split in some of them. Which ones it reads together
 * depends on when a process has looked, so what waits must not depend on it. Where pairs of minute and ad are too many to
 * keep, the ads of a minute are not told apart.
 */
function splitAt(
  splitRules: SplitRules,
  minutes: ReadonlySet<number>,
): (row: Pick<WaitingClicks, 'minute' | 'ad_id'>) => boolean {
  const rulesOf = Map.groupBy(splitRules.rules, ({ adId }) => adId);
  return ({ minute, ad_id }) =>
    minutes.has(minute) &&
    (ad_id === '' || (rulesOf.get(ad_id) ?? []).some(({ from, until }) => from <= minute && minute < until));
}

/** Returns 0 for what is not known at all. */
function floorMinute(ms: number): number {
  return Number.isFinite(ms) ? ms - (ms % minuteMs) : Math.max(0, ms);
}
