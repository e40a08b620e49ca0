/**
 * States the rules of invalid clicks (ingest/validity/rules.ts) a second time, in SQL over raw clicks, and compares what
 * it finds with the reasons that are counted. The stream, a replay and a recount judge by the same code, so none of
 * them can notice a fault in it. Nothing of that code is used here, not even the letters of facts or the order of the
 * reasons.
 *
 * A minute is judged by the version of the rules that its rows have. Whether that is the version that was announced for
 * the minute is not asked, because a replay may have changed it.
 *
 * Two kinds of clicks cannot be judged for sure: those whose best copies say different things to the caps, or whose
 * copies name several countries, since any of these may be the one that was counted, and those of erased persons, whose
 * addresses are no longer those by which they were judged. One click more or less in a cell changes one reason by one,
 * so no reason may be off by more than the unsure clicks of the cell. Of a split ad, each partition has applied the caps
 * by itself. Until such a minute is recounted, only its facts are compared, and that no more is invalid than by the
 * rules.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { joined, named, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { Retryable } from '../../../infra/errors.ts';
import { noRules, type RuleSet } from '../../../ingest/validity/rules.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { type RowOf, readRow, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { clickedWithin, minuteWithin } from '../sql/within.ts';

/** Sums over the cells of an ad whose invalid clicks differ by a reason. `all`: their total is not the sum of reasons. */
const InvalidDrift = rowShape('differing invalid clicks of ads', {
  ad_id: Type.String(),
  reason: Type.String(),
  cells: Type.Integer(),
  counted: Type.Integer(),
  raw: Type.Integer(),
});
export type InvalidDrift = RowOf<typeof InvalidDrift>;

const ReasonDrift = rowShape('differing invalid clicks', {
  reason: Type.String(),
  cells: Type.Integer(),
  counted: Type.Integer(),
  raw: Type.Integer(),
  /** The sum of the differences of cells, each without its sign. */
  off: Type.Integer(),
});
export type ReasonDrift = RowOf<typeof ReasonDrift>;

const InvalidTotals = rowShape('totals of compared invalid clicks', {
  /** The number of compared cells: of an ad and a country in a minute. */
  cells: Type.Integer(),
  differing: Type.Integer(),
  /** Cells of split ads, of which less is compared. */
  split: Type.Integer(),
  /** Cells with clicks that cannot be judged for sure. */
  unsure: Type.Integer(),
});

/** Epoch ms. */
const DifferingMinute = rowShape('minutes with differing invalid clicks', { at: Type.Integer() });

const JudgedMinute = rowShape('minutes with rules', { minute: Type.Integer(), rules: Type.Integer() });

export interface InvalidCompared extends RowOf<typeof InvalidTotals> {
  readonly reasons: readonly ReasonDrift[];
  /** The largest differences. */
  readonly ads: readonly InvalidDrift[];
  /** Epoch ms, in order. */
  readonly minutes: readonly number[];
}

export interface InvalidComparison {
  /** At most an hour. @throws Retryable when rules of the range are not known here yet */
  compare(range: TimeRange): Promise<readonly InvalidCompared[]>;
}

export interface InvalidComparisonDeps {
  readonly clickhouse: ClickHouse;
  /** The first minute in which ids are per ad, in epoch ms. Minutes before it are left out: there were no rules then. */
  readonly idsPerAdFrom: () => Promise<number>;
  /** Returns what says the rules of a version, if this process has heard of it. */
  readonly rules: () => Promise<(version: number) => RuleSet | undefined>;
}

/** Returns one result for each version of the rules. */
export function createInvalidComparison({ clickhouse, idsPerAdFrom, rules }: InvalidComparisonDeps): InvalidComparison {
  return {
    async compare({ from, to }) {
      const range = { from: Math.max(from, await idsPerAdFrom()), to };
      const judged = range.from < to ? await judgedMinutes(clickhouse, range) : [];
      if (judged.length === 0) return [];
      const setOf = await rules();
      const results: InvalidCompared[] = [];
      for (const [version, of] of Map.groupBy(judged, minute => minute.rules)) {
        const set = version === 0 ? noRules : setOf(version);
        if (set === undefined) throw new Retryable(`version ${version} of the rules is not known here yet`);
        results.push(
          await compareBy(
            clickhouse,
            set,
            of.map(({ minute }) => minute),
          ),
        );
      }
      return results;
    },
  };
}

/** Minutes with rules, and those that have invalid clicks though they have none. */
async function judgedMinutes(clickhouse: ClickHouse, range: TimeRange): Promise<RowOf<typeof JudgedMinute>[]> {
  return await readRows(
    clickhouse,
    JudgedMinute,
    statement`SELECT toUnixTimestamp(m) * 1000 AS minute, newest AS rules FROM (
       SELECT minute AS m, argMax(rules, version) AS newest, max(invalid) AS most FROM ${sharded('ad_minute')}
       WHERE ${minuteWithin(range)} GROUP BY minute
     ) WHERE newest > 0 OR most > 0 ORDER BY minute ${settingsOf(mostMinutes, timeoutMs)}`,
  );
}

async function compareBy(clickhouse: ClickHouse, set: RuleSet, minutes: readonly number[]): Promise<InvalidCompared> {
  const cells = comparedCells(minutes, set);
  const totals = await readRow(
    clickhouse,
    InvalidTotals,
    statement`SELECT count() AS cells, countIf(notEmpty(differences)) AS differing, countIf(is_split) AS split,
       countIf(unsure_clicks > 0) AS unsure
     FROM ${cells} ${bounded(1)}`,
  );
  const found = totals ?? { cells: 0, differing: 0, split: 0, unsure: 0 };
  if (found.differing === 0) return { ...found, reasons: [], ads: [], minutes: [] };
  const reasons = await readRows(
    clickhouse,
    ReasonDrift,
    statement`SELECT reason, count() AS cells, sum(of_rows) AS counted, sum(of_raw) AS raw, sum(abs(of_raw - of_rows)) AS off
     FROM (SELECT difference.1 AS reason, difference.2 AS of_rows, difference.3 AS of_raw
       FROM ${cells} ARRAY JOIN differences AS difference)
     GROUP BY reason ORDER BY off DESC, reason LIMIT ${mostReasons} ${bounded(mostReasons)}`,
  );
  const ads = await readRows(
    clickhouse,
    InvalidDrift,
    statement`SELECT ad_id, reason, cells, counted, raw FROM (
       SELECT ad AS ad_id, difference.1 AS reason, count() AS cells, sum(difference.2) AS counted,
         sum(difference.3) AS raw, sum(abs(difference.3 - difference.2)) AS off
       FROM ${cells} ARRAY JOIN differences AS difference
       GROUP BY ad, reason ORDER BY off DESC, ad, reason LIMIT ${differencesReported}
     ) ${bounded(differencesReported)}`,
  );
  const differing = await readRows(
    clickhouse,
    DifferingMinute,
    statement`SELECT DISTINCT toUnixTimestamp(at) * 1000 AS at FROM ${cells} WHERE notEmpty(differences) ORDER BY at
     ${bounded(mostMinutes)}`,
  );
  return { ...found, reasons, ads, minutes: differing.map(({ at }) => at) };
}

/** The number of pairs of ad and reason that are named. All are counted. */
export const differencesReported = 100;
/** There are fewer reasons, but a fault may count by others. */
const mostReasons = 100;
const mostMinutes = 60;
const timeoutMs = 120_000;

/** A single minute may have very many clicks. Then ClickHouse groups them on disk. */
const bounded = (rows: number): Sql =>
  settingsOf(rows, timeoutMs, { max_bytes_before_external_group_by: 2 ** 30, max_memory_usage: 3 * 2 ** 30 });

/**
 * A table expression with a row for each cell: `at`, `ad`, `in_country`, `unsure_clicks`, `is_split`, and `differences` of
 * (reason, counted, of raw).
 */
function comparedCells(minutes: readonly number[], set: RuleSet): Sql {
  const range = { from: Math.min(...minutes), to: Math.max(...minutes) + 60_000 };
  const stated = sql`SELECT minute AS at, ad_id AS ad, country::String AS in_country, toInt64(sum(invalid)) AS stated_total,
      sumMap(CAST(invalid_by, 'Map(String, Int64)')) AS stated_by, countIf(clicks > 0) AS parts
    FROM ${sharded('ad_minute')} FINAL
    WHERE ${minuteWithin(range)} AND toUnixTimestamp(minute) IN ${minutes.map(secondsOf)} GROUP BY at, ad, in_country`;
  const none = sql`CAST(map(), 'Map(String, Int64)')`;
  const off = sql`abs(found[reason] - stated[reason]) > unsure_clicks`;
  const differing = (reasons: Sql) =>
    sql`arrayMap(reason -> (reason, stated[reason], found[reason]), arrayFilter(reason -> ${off}, ${reasons}))`;
  const all = sql`[('all', total, arraySum(mapValues(found)))]`;
  const reasons = sql`arrayDistinct(arrayConcat(mapKeys(found), mapKeys(stated)))`;
  return sql`(
    SELECT at, ad, in_country, unsure_clicks, partitions > 1 AS is_split, arrayConcat(
        if(is_split, ${differing(sql`arrayFilter(reason -> reason IN ${factReasons}, ${reasons})`)}, ${differing(reasons)}),
        if(total != arraySum(mapValues(stated))
          OR (is_split AND total > arraySum(mapValues(found)) + unsure_clicks), ${all}, [])
      ) AS differences
    FROM (
      SELECT at, ad, in_country, sumMap(found_by) AS found, sum(cell_unsure) AS unsure_clicks, sumMap(stated_by) AS stated,
        sum(stated_total) AS total, sum(parts) AS partitions
      FROM (
        SELECT at, ad, in_country::String AS in_country, found_by, cell_unsure, toInt64(0) AS stated_total, ${none} AS stated_by, toUInt64(0) AS parts
        FROM (${foundCells(range, minutes, set)})
        UNION ALL
        SELECT at, ad, in_country, ${none}, toUInt64(0), stated_total, stated_by, parts FROM (${stated})
      ) GROUP BY at, ad, in_country
    )
  )`;
}

/** A row for each cell of raw clicks, with the invalid ones by reason: the caps, from the innermost to the outermost. */
function foundCells(range: TimeRange, minutes: readonly number[], { rules }: RuleSet): Sql {
  const { double_click_seconds, user_clicks_per_minute, address_clicks_per_minute, ad_clicks_per_minute } = rules;
  const upTo = (cap: number, applies: Sql, come: Sql) => {
    return cap > 0 ? sql`if(${applies}, least(${come}, toUInt64(${cap})), ${come})` : come;
  };
  const facts = factRules.map(([reason], i) => ({ reason, code: i + 1, column: named(`by_${reason}`) }));
  const countedFacts = joined(
    facts.map(({ code, column }) => sql`sumIf(n, reason = ${code}) AS ${column}`),
    ', ',
  );
  const sumsOfFacts = joined(
    facts.map(({ column }) => sql`sum(${column}) AS ${column}`),
    ', ',
  );
  const inSteps = sql`SELECT at, ad, in_country, address, person, is_user, sum(u) AS unsure, sumIf(n, reason = 0) AS came,
      ${upTo(Number(double_click_seconds > 0), sql`person != 0`, sql`came`)} AS passed, came - passed AS again, ${countedFacts}
    FROM (${clicksOnce(range, minutes, rules)}) GROUP BY at, ad, in_country, address, person, is_user, step`;
  const ofPersons = sql`SELECT at, ad, in_country, address, sum(unsure) AS unsure, sum(again) AS again, sum(passed) AS come,
      ${upTo(user_clicks_per_minute, sql`is_user`, sql`come`)} AS through, come - through AS fast, ${sumsOfFacts}
    FROM (${inSteps}) GROUP BY at, ad, in_country, address, person, is_user`;
  const ofAddresses = sql`SELECT at, ad, in_country, sum(unsure) AS unsure, sum(again) AS again, sum(fast) AS fast,
      sum(through) AS at_address, ${upTo(address_clicks_per_minute, sql`address != 0`, sql`at_address`)} AS left,
      at_address - left AS crowd, ${sumsOfFacts}
    FROM (${ofPersons}) GROUP BY at, ad, in_country, address`;
  const ofCells = sql`SELECT at, ad, in_country, sum(unsure) AS cell_unsure, sum(again) AS again, sum(fast) AS fast,
      sum(crowd) AS crowd, sum(left) AS in_cell, in_cell - ${upTo(ad_clicks_per_minute, sql`1`, sql`in_cell`)} AS rest, ${sumsOfFacts}
    FROM (${ofAddresses}) GROUP BY at, ad, in_country`;
  const byFact = joined(
    facts.map(({ reason, column }) => sql`${reason}, ${column}`),
    ', ',
  );
  return sql`SELECT at, ad, in_country, cell_unsure, mapFilter((reason, n) -> n > 0, CAST(map(
      ${byFact}, 'double_click', again, 'user_velocity', fast, 'address_velocity', crowd, 'ad_velocity', rest
    ), 'Map(String, Int64)')) AS found_by
    FROM (${ofCells})`;
}

/**
 * A row for each click: `n` is 1 in the country in which it is counted here, that of its first copy, and 0 in others that
 * its copies name. Everything else is what the best copy says: the one with the lowest `badness`, which is 0 where facts
 * say nothing against it, else the place of its reason. `u` is 1 if the click is unsure; `reason` is the place of the
 * first fact by which it is invalid, or 0. What a copy with such a reason says besides does not matter, as caps do not
 * look at it. Persons and addresses are hashes, which need less memory than user agents, and 0 where there is none.
 */
function clicksOnce(range: TimeRange, minutes: readonly number[], rules: RuleSet['rules']): Sql {
  const stepMs = rules.double_click_seconds * 1_000;
  const isOfPersons = rules.double_click_seconds > 0 || rules.user_clicks_per_minute > 0;
  const has = (letter: string) => sql`position(facts, ${letter}) > 0`;
  const byFacts = factRules.flatMap(([reason, letter], i) => (rules[reason] ? [sql`${has(letter)}, ${i + 1}`] : []));
  const reason = sql`toUInt8(multiIf(${joined([sql`${has('a')}, ${allowed}`, ...byFacts], ', ')}, 0))`;
  const hash = (texts: Sql) => sql`reinterpretAsUInt128(sipHash128(${texts}))`;
  const person = sql`multiIf(user_id != '', ${hash(sql`'user', ip, user_id`)},
    ip != '' AND user_agent != '', ${hash(sql`'user agent', ip, user_agent`)}, ${nobody})`;
  const step =
    stepMs > 0 ? sql`toUInt8(intDiv(toUnixTimestamp64Milli(clicked_at) % 60000, ${stepMs}))` : sql`toUInt8(0)`;
  const address = rules.address_clicks_per_minute > 0 ? sql`if(ip = '', ${nobody}, ${hash(sql`ip`)})` : nobody;
  // As ingest/privacy/erasure-record.ts makes tokens.
  const isErased = sql`startsWith(user_id, 'erased:')`;
  return sql`SELECT at, ad, arrayJoin(countries) AS in_country, toUInt64(in_country = counted_in) AS n, is_unsure AS u,
      reason, person, is_user, address, step
    FROM (
      SELECT at, ad, id, argMin(c, received) AS counted_in, argMin((r, p, of_user, a, s), (badness, received)) AS best,
        best.1 AS reason, best.2 AS person, best.3 AS is_user, best.4 AS address, best.5 AS step,
        min((badness, said)).2 != max((-badness, said)).2 OR min(c) != max(c) OR max(is_erased) AS is_unsure,
        groupUniqArray(c) AS countries
      FROM (
        SELECT toStartOfMinute(clicked_at) AS at, ad_id AS ad, event_id AS id, received_at AS received, country AS c,
          ${reason} AS r, ${isOfPersons ? person : nobody} AS p, ${isOfPersons ? sql`user_id != ''` : sql`false`} AS of_user,
          ${address} AS a, ${step} AS s, if(r = ${allowed}, 0, toInt16(r)) AS badness,
          if(badness > 0, toUInt64(0), sipHash64(r, p, of_user, a, s)) AS said, ${isErased} AS is_erased
        FROM ${sharded('click_raw')}
        WHERE ${clickedWithin(range)} AND toUnixTimestamp(toStartOfMinute(clicked_at)) IN ${minutes.map(secondsOf)}
      ) GROUP BY at, ad, id
    )`;
}

/** In the order in which they apply, with the letter of the fact. */
const factRules = [
  ['denied', 'd'],
  ['known_bot', 'b'],
  ['datacentre', 'c'],
  ['prefetch', 'p'],
  ['missing_field', 'm'],
  ['impossible_field', 'i'],
] as const;
const factReasons = factRules.map(([reason]) => reason);
/** In the place of a reason: no rule applies. */
const allowed = 255;

/** The hash of no person and no address. */
const nobody = sql`toUInt128(0)`;

function secondsOf(ms: number): number {
  return ms / 1_000;
}
