/**
 * The promises, checked on what is left behind: I1–I10 of a billing pipeline. Each returns what breaks it, nothing if it
 * holds. Stated on plain rows and lines, with none of the code under test.
 */

import type { Evidence } from './evidence.ts';
import type { readLedger } from './ledger.ts';
import { poisonMark } from './poison.ts';
import type { Seen } from './reader.ts';
import type { CellRow } from './store-rows.ts';

type Ledger = ReturnType<typeof readLedger>;

const versionsPerRevision = 2 ** 48;

/** All of it must hold once everything is at rest. */
export function checkAll(ledger: Ledger, evidence: Evidence, seen: Seen, isExactlyOnce: boolean): string[] {
  return [
    ...nothingLost(ledger, evidence),
    ...nothingInvented(ledger, evidence),
    ...oneRowEach(evidence),
    ...countsEqualRaw(evidence),
    ...conserved(evidence),
    ...neverAboveTheEnd(evidence, seen),
    ...noHoles(ledger, evidence),
    ...storedIsDurable(evidence),
    ...(isExactlyOnce ? writtenOnce(evidence) : []),
    ...poisonIsKept(evidence),
  ].map(text => text.slice(0, 400));
}

function nothingLost(ledger: Ledger, { rows }: Evidence): string[] {
  const raw = new Set(rows.raw.map(row => row.event_id));
  return failures(
    'I1 no loss',
    [...ledger],
    ([id, { fate }]) => fate === 'acked' && !raw.has(id),
    ([id]) => id,
  );
}

function nothingInvented(ledger: Ledger, { rows }: Evidence): string[] {
  return failures(
    'I2 no invention',
    rows.raw.filter(row => !row.event_id.startsWith('foreign')),
    row => !['acked', 'unknown'].includes(ledger.get(row.event_id)?.fate ?? 'never posted'),
    row => `${row.event_id} is in raw, but ${ledger.get(row.event_id)?.fate ?? 'never posted'}`,
  );
}

function oneRowEach({ rows }: Evidence): string[] {
  const ids = new Set(rows.raw.map(row => row.click_id));
  return ids.size === rows.raw.length ? [] : [`I3: ${rows.raw.length} rows of ${ids.size} click_ids in raw`];
}

function countsEqualRaw({ rows }: Evidence): string[] {
  const truth = distinctByCell(rows.raw);
  return [
    ...differences('I4 ad_minute equals raw', truth, sumByCell(rows.adMinute)),
    ...differences('I4 ad_minute_by_ad equals raw', truth, sumByCell(rows.adMinuteByAd)),
  ];
}

function conserved({ rows, clicks }: Evidence): string[] {
  const problems: string[] = [];
  const restated = firstRevisions(rows.restatements);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  for (const row of rows.progress) {
    if (row.received !== row.counted + row.duplicates + row.quarantined)
      problems.push(`I5 counters: ${JSON.stringify(row)}`);
    const lines = clicks.filter(line => line.partition === row.partition && line.offset < row.position).length;
    if (row.received !== lines)
      problems.push(`I5: partition ${row.partition} received ${row.received} of ${lines} lines`);
    const kept = rows.quarantine.filter(q => q.partition === row.partition && q.reason !== 'refused').length;
    if (kept !== row.quarantined)
      problems.push(`I5 rows: partition ${row.partition} has ${kept} in quarantine instead of ${row.quarantined}`);
  }
  const live = rows.adMinute
    .map(row => (row.version < versionsPerRevision ? row : undefined))
    .filter(row => row !== undefined);
  const counted = sum(live.map(row => row.clicks)) + sum(restated.map(row => row.before));
  const duplicates = sum(live.map(row => row.duplicates)) + sum(restated.map(row => row.before_duplicates));
  if (counted !== sum(rows.progress.map(row => row.counted)))
    problems.push(`I5 rows: ${counted} counted in rows, ${sum(rows.progress.map(row => row.counted))} in progress`);
  if (duplicates !== sum(rows.progress.map(row => row.duplicates)))
    problems.push(
      `I5 rows: ${duplicates} duplicates in rows, ${sum(rows.progress.map(row => row.duplicates))} in progress`,
    );
  return problems;
}

/** What live counting had said of the cells that were restated since. */
function firstRevisions(restatements: Evidence['rows']['restatements']) {
  const first = new Map<string, (typeof restatements)[number]>();
  for (const row of restatements) {
    const key = `${row.minute}|${row.ad_id}|${row.country}`;
    if (row.revision < (first.get(key)?.revision ?? Number.POSITIVE_INFINITY)) first.set(key, row);
  }
  return [...first.values()];
}

function neverAboveTheEnd({ rows }: Evidence, { highest, violations }: Seen): string[] {
  const truth = distinctByCell(rows.raw);
  return [
    ...violations.slice(0, 10),
    ...failures(
      'I6 never above the final count',
      [...highest],
      ([key, count]) => {
        const [minute, ad] = key.split('|');
        return count > (truth.get(`${Number(minute) / 1_000}|${ad}`) ?? 0);
      },
      ([key, count]) => `${key} showed ${count}`,
    ),
  ];
}

/** Ids carry a number per ad: of those posted each is in raw, unless its fate says otherwise. */
function noHoles(ledger: Ledger, { rows }: Evidence): string[] {
  const raw = new Set(rows.raw.map(row => row.event_id));
  const highest = new Map<string, number>();
  for (const id of raw) {
    const [ad, number] = id.split('#');
    if (ad !== undefined && number !== undefined) highest.set(ad, Math.max(highest.get(ad) ?? 0, Number(number)));
  }
  const problems: string[] = [];
  for (const [ad, last] of highest) {
    for (let number = 1; number <= last; number++) {
      const id = `${ad}#${number}`;
      if (!raw.has(id) && ledger.get(id)?.fate !== 'unknown') problems.push(`I7: a hole at ${id}`);
    }
  }
  return problems.slice(0, 10);
}

/** What the sinks have committed is in the store, whenever one looks. */
export function storedIsDurable({ clicks, aggregates, quarantine, stored, rows }: Evidence): string[] {
  const isStored = (topic: string) => (line: { partition: number; offset: number }) =>
    line.offset < (stored.get(`${topic}|${line.partition}`) ?? 0);
  const raw = new Set(rows.raw.map(row => row.click_id));
  const kept = new Set(rows.quarantine.map(row => `${row.partition}|${row.offset}|${row.line}`));
  const versions = new Map(rows.adMinute.map(row => [cellKey(row), row.version]));
  const versionsByAd = new Map(rows.adMinuteByAd.map(row => [cellKey(row), row.version]));
  const isMissing = (row: CellRow) =>
    Math.min(versions.get(cellKey(row)) ?? -1, versionsByAd.get(cellKey(row)) ?? -1) < row.version;
  return [
    ...failures(
      'I10 committed raw is stored',
      clicks.filter(isStored('clicks')),
      ({ line }) => {
        const id = /^\{"click_id":"([^"]+)"/.exec(line)?.[1];
        return id !== undefined && !line.includes(poisonMark) && !raw.has(id);
      },
      ({ line, partition, offset }) => `${partition}/${offset}: ${line}`,
    ),
    ...failures(
      'I10 committed counts are stored',
      aggregates.filter(isStored('aggregates')).filter(line => line.kind === 'ad-minute'),
      ({ line }) => isMissing(cellIn(line)),
      ({ line }) => line,
    ),
    ...failures(
      'I10 committed quarantine is stored',
      quarantine.filter(isStored('quarantine')),
      ({ line }) => {
        const row = JSON.parse(line) as { partition: number; offset: number; line: number };
        return !kept.has(`${row.partition}|${row.offset}|${row.line}`);
      },
      ({ line }) => line,
    ),
  ];
}

/** Of the output topic itself, as a read_committed reader sees it: no (cell, version) twice, positions only grow. */
export function writtenOnce({ aggregates }: Pick<Evidence, 'aggregates'>): string[] {
  const problems: string[] = [];
  const written = new Set<string>();
  const positions = new Map<number, number>();
  for (const { kind, line, partition } of aggregates) {
    if (kind === 'progress') {
      const { position } = JSON.parse(line) as { position: number };
      if (position <= (positions.get(partition) ?? -1))
        problems.push(`written once: partition ${partition} at ${position} after ${positions.get(partition)}`);
      positions.set(partition, position);
    } else {
      const row = cellIn(line);
      const key = `${cellKey(row)}|${row.version}`;
      if (written.has(key)) problems.push(`written once: ${line}`);
      written.add(key);
    }
  }
  return problems.slice(0, 10);
}

function poisonIsKept({ clicks, rows }: Evidence): string[] {
  const kept = new Set(rows.quarantine.map(row => row.raw));
  return failures(
    'poison is kept whole',
    // Java shows bytes that are no UTF-8 as U+FFFD; they are kept in base64.
    clicks.filter(({ line }) => line.includes(poisonMark) && !line.includes('\ufffd')),
    ({ line }) => !kept.has(line),
    ({ line }) => line,
  );
}

function distinctByCell(raw: Evidence['rows']['raw']): Map<string, number> {
  const ids = new Map<string, Set<string>>();
  for (const { ad_id, clicked_at, event_id } of raw) {
    const key = `${Math.floor(clicked_at / 60_000) * 60}|${ad_id}`;
    const set = ids.get(key) ?? new Set();
    ids.set(key, set.add(event_id));
  }
  return new Map([...ids].map(([key, set]) => [key, set.size]));
}

function sumByCell(rows: readonly CellRow[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { minute, ad_id, clicks } of rows) {
    if (clicks > 0) sums.set(`${minute}|${ad_id}`, (sums.get(`${minute}|${ad_id}`) ?? 0) + clicks);
  }
  return sums;
}

function differences(
  what: string,
  expected: ReadonlyMap<string, number>,
  found: ReadonlyMap<string, number>,
): string[] {
  const keys = new Set([...expected.keys(), ...found.keys()]);
  return failures(
    what,
    [...keys],
    key => expected.get(key) !== found.get(key),
    key => `${key}: ${found.get(key) ?? 0} instead of ${expected.get(key) ?? 0}`,
  );
}

/** An `ad-minute` line of topic `aggregates`. */
function cellIn(line: string): CellRow {
  const [minute, ad_id, country, partition, version, clicks, duplicates] = JSON.parse(line);
  return { minute, ad_id, country, partition, version, clicks, duplicates };
}

function cellKey({ minute, ad_id, country, partition }: CellRow): string {
  return `${minute}|${ad_id}|${country}|${partition}`;
}

/** One line for all that fail, with the first of them. */
export function failures<T>(
  what: string,
  all: readonly T[],
  fails: (item: T) => boolean,
  show: (item: T) => string,
): string[] {
  const failing = all.filter(fails);
  return failing.length === 0
    ? []
    : [`${what}: ${failing.length} of ${all.length}; ${failing.slice(0, 3).map(show).join('; ')}`];
}
