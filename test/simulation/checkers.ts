/**
 * What must hold (aggregator/README.md, "What is guaranteed"), stated from outside: of the topics as a read_committed
 * reader sees them, of the store as a query sees it, against truth.ts. Each check has a name; the first that fails ends
 * the run.
 */
import {
  type AdMinuteRow,
  adMinuteRowOf,
  type InvalidBy,
  type Judged,
  type Progress,
  type QuarantineRow,
} from '../../aggregator/ad-minute.ts';
import { ackHeader } from '../../ingest/ack-chain.ts';
import { unknownPartitions } from '../../ingest/hot-ads/partition-record.ts';
import { finalityOf } from '../../query-api/store/finality.ts';
import type { CommittedTransaction, Entry } from './fake-broker.ts';
import { type FakeStore, type RawRow, refusedAd, type Table } from './fake-store.ts';
import { PartitionTruth, rawKey, type TruthSettings } from './truth.ts';
import type { ToldAcks } from './writers.ts';

export class Violation extends Error {
  readonly check: string;

  constructor(check: string, detail: string) {
    super(`${check}: ${detail}`);
    this.check = check;
  }
}

export interface CheckerSettings extends TruthSettings {
  /** The most that any topic will have. */
  readonly mostPartitions: number;
  /** Over how many clicks up to an event time are spread. */
  readonly partitionsAt: (eventTime: number) => number;
  readonly isExactlyOnce: boolean;
}

export class Checkers {
  readonly truths: readonly PartitionTruth[];
  readonly #settings: CheckerSettings;
  readonly #store: FakeStore;
  /** Told of every comparison that could have failed: a check that never had anything to do has not passed. */
  onChecked: (what: string) => void = () => {};
  /** What a header of acknowledgements tells, as the ledger of who wrote it knows. */
  toldBy: (partition: number, header: string) => ToldAcks | undefined = () => undefined;
  /** The first that was found. */
  violation: Violation | undefined;
  /** Per partition, of the read_committed output. */
  readonly #lastProgress: (Progress | undefined)[] = [];
  readonly #written = new Set<string>();
  readonly #accepted = new Set<string>();
  readonly #seen = new Map<string, number>();

  constructor(settings: CheckerSettings, store: FakeStore) {
    this.#settings = settings;
    this.#store = store;
    this.truths = Array.from({ length: settings.mostPartitions }, (_, p) => new PartitionTruth(p, settings));
    store.onContradiction = (table, key, before, after) => {
      if (table === 'partition_progress' && isSameProgress(before, after)) return;
      this.#fail('one version, one value', `${table} ${key}: ${JSON.stringify(before)} and ${JSON.stringify(after)}`);
    };
  }

  /** A client has been told that these clicks are in. */
  accepted(clickIds: readonly string[]): void {
    for (const id of clickIds) this.#accepted.add(id);
  }

  /** Every record of every topic, when it is appended, committed or not: also a zombie says nothing untrue. */
  appended(topic: string, partition: number, entry: Entry): void {
    const text = entry.value?.toString() ?? '';
    if (topic === 'clicks') {
      const acks = entry.headers?.[ackHeader];
      const told = acks === undefined ? undefined : this.toldBy(partition, acks);
      this.truths[partition]!.append(entry.appendedAt, entry.control ? undefined : text, told);
      return;
    }
    if (entry.control) return;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      const row = rowOf(entry.headers?.['kind'], line);
      if (row.partition !== partition) this.#fail('partition of the output', `${line} in partition ${partition}`);
      if (entry.headers?.['kind'] === 'ad-minute') this.#rowIsTrue(row);
      else if (entry.headers?.['kind'] === 'progress') this.#progressIsTrue(row);
      else this.#quarantineIsTrue(row);
    }
  }

  /** What a reader of the output gets, in its order. */
  committed({ entries, offsets }: CommittedTransaction): void {
    let progress: Progress | undefined;
    for (const { topic, partition, entry } of entries) {
      for (const line of (entry.value?.toString() ?? '').split('\n')) {
        if (line === '') continue;
        const kind = entry.headers?.['kind'];
        const row = rowOf(kind, line);
        if (topic === 'quarantine') this.#once(`${partition} quarantine ${row.offset}|${row.line}`);
        else if (kind === 'ad-minute') {
          this.#once(`${partition} ${keyOf(row)} ${row.version}`);
          if (progress) this.#fail('progress after its rows', line);
        } else progress = row;
      }
    }
    const [offset, ...others] = offsets;
    if (progress === undefined || offset === undefined || others.length > 0)
      this.#fail('rows and offset in one', `${entries.length} records, ${offsets.length} offsets`);
    if (progress === undefined || offset === undefined) return;
    if (offset.commit.offset !== progress.position || offset.partition !== progress.partition)
      this.#fail('rows and offset in one', `${JSON.stringify(offset)} beside ${JSON.stringify(progress)}`);
    this.#checkpointSuffices(offset.partition, offset.commit.offset, offset.commit.metadata);
    this.#progressMoves(progress);
  }

  /** As a query: progress was read before the rows. */
  read(progress: readonly Progress[]): void {
    const { finalUntil } = finalityOf(progress);
    for (const table of ['ad_minute', 'ad_minute_by_ad'] as const) {
      const rows = new Map(this.#store.adMinutes(table).map(row => [`${row.partition} ${keyOf(row)}`, row]));
      this.#noValueAbove(table, rows);
      for (const { partition, position } of progress) this.#covers(table, rows, partition, position);
      if (finalUntil !== null) this.#finalIsFinal(table, rows, finalUntil);
    }
  }

  /** True when nothing is missing in raw and quarantine. */
  isWhole(): boolean {
    const { quarantine, raw, refused } = this.#expected();
    return this.#store.rawRows().length >= raw.size && this.#store.quarantine().length >= quarantine.size + refused;
  }

  /** Everything has come to rest. */
  atRest(): void {
    const { quarantine, raw, refused } = this.#expected();
    this.read(this.#store.progress());
    this.#quarantineIsWhole(quarantine, refused);
    this.#rawIsWhole(raw);
    this.#countsEqualRaw();
    this.#adsEqualRaw();
  }

  #expected() {
    const quarantine = new Map<string, string>();
    const raw = new Set<string>();
    let refused = 0;
    for (const truth of this.truths) {
      for (const [place, reason] of truth.quarantined) quarantine.set(`${truth.partition}|${place}`, reason);
      for (const key of truth.raw) raw.add(key);
      refused += truth.refusedLines;
    }
    return { quarantine, raw, refused };
  }

  fail(check: string, detail: string): void {
    this.#fail(check, detail);
  }

  #rowIsTrue(row: AdMinuteRow): void {
    const truth = this.truths[row.partition]?.cell(keyOf(row), row.version);
    this.onChecked(row.late > 0 ? 'row with late clicks' : row.duplicates > 0 ? 'row with duplicates' : 'row');
    if (row.clicks !== truth?.clicks || row.duplicates !== truth.duplicates || row.late !== truth.late)
      this.#fail('every row is true of its prefix', `${JSON.stringify(row)}, but ${JSON.stringify(truth)}`);
    const judged = this.truths[row.partition]!.judged(keyOf(row), row.version);
    if (row.invalid > 0) this.onChecked('row with invalid clicks');
    if (!isSameJudged(row, judged))
      this.#fail(
        'every row is judged by the rules of its minute',
        `${JSON.stringify(row)}, but ${JSON.stringify(judged)}`,
      );
  }

  #progressIsTrue(row: Progress): void {
    const { finalUntil, ...totals } = this.truths[row.partition]!.before(row.position);
    const partitions =
      row.partitions === unknownPartitions ? unknownPartitions : this.#settings.partitionsAt(row.watermark);
    this.onChecked(row.partitions === unknownPartitions ? 'progress of unknown partitions' : 'progress of known ones');
    const expected = { ...totals, final_until: finalUntil, partitions };
    for (const [name, value] of Object.entries(expected)) {
      if (row[name as keyof Progress] !== value)
        this.#fail('progress is true of its prefix', `${JSON.stringify(row)}, but ${name} is ${value}`);
    }
    if (row.received !== row.counted + row.duplicates + row.quarantined)
      this.#fail('conservation', JSON.stringify(row));
    if (row.acknowledged - row.missing > row.received) this.#fail('conservation of acks', JSON.stringify(row));
    this.onChecked(row.missing > 0 ? 'progress with missing clicks' : 'progress without missing clicks');
  }

  #quarantineIsTrue(row: QuarantineRow): void {
    const reason = this.truths[row.partition]?.quarantined.get(`${row.offset}|${row.line}`);
    this.onChecked(`quarantined ${row.reason}`);
    if (reason !== row.reason) this.#fail('quarantine is true', `${JSON.stringify(row)}, but ${reason}`);
  }

  #once(key: string): void {
    if (this.#settings.isExactlyOnce && this.#written.has(key)) this.#fail('written once', key);
    this.#written.add(key);
  }

  #progressMoves(progress: Progress): void {
    const before = this.#lastProgress[progress.partition];
    if (before !== undefined && (progress.position <= before.position || progress.watermark < before.watermark))
      this.#fail('progress never goes back', `${JSON.stringify(progress)} after ${JSON.stringify(before)}`);
    this.#lastProgress[progress.partition] = progress;
  }

  /** With it, the next owner knows all clicks of minutes that are not final. */
  #checkpointSuffices(partition: number, position: number, metadata: string): void {
    const truth = this.truths[partition]!;
    const { restoreFrom, watermarkAtRestoreFrom, watermark } = JSON.parse(metadata);
    this.onChecked('transaction');
    const needed = truth.restoreFrom(position);
    if (restoreFrom > needed || watermark !== truth.before(position).watermark)
      this.#fail('the checkpoint suffices', `${metadata} at ${position}, but clicks are needed from ${needed}`);
    const before = truth.before(restoreFrom).watermark;
    if (watermarkAtRestoreFrom !== before)
      this.#fail('the checkpoint suffices', `${metadata} at ${position}, but the watermark was ${before} there`);
  }

  /** The store begins anew: who reads it finds less than before. */
  emptied(): void {
    this.#seen.clear();
  }

  /** Distinct clicks only become more, so what is above the present truth is above the final one or was never true. */
  #noValueAbove(table: Table, rows: ReadonlyMap<string, AdMinuteRow>): void {
    for (const [key, row] of rows) {
      const truth = this.truths[row.partition]!.cell(keyOf(row));
      if (row.clicks > truth.clicks) this.#fail('no value above the final one', `${table} ${JSON.stringify(row)}`);
      const seen = this.#seen.get(`${table} ${key}`) ?? 0;
      if (row.clicks < seen) this.#fail('no count falls', `${table} ${JSON.stringify(row)} after ${seen}`);
      this.#seen.set(`${table} ${key}`, row.clicks);
    }
  }

  #covers(table: Table, rows: ReadonlyMap<string, AdMinuteRow>, partition: number, position: number): void {
    const truth = this.truths[partition]!;
    for (const key of truth.cellKeys()) {
      const { clicks } = truth.cell(key, position);
      const shown = rows.get(`${partition} ${key}`)?.clicks ?? 0;
      if (shown < clicks)
        this.#fail(
          'progress only after its rows',
          `${table} shows ${shown} for ${key}, but ${clicks} before ${position}`,
        );
    }
  }

  #finalIsFinal(table: Table, rows: ReadonlyMap<string, AdMinuteRow>, finalUntil: number): void {
    for (const truth of this.truths) {
      for (const key of truth.cellKeys()) {
        if (Number(key.split('|')[0]) * 1_000 + 60_000 > finalUntil) continue;
        const row = rows.get(`${truth.partition} ${key}`);
        this.onChecked('final value');
        const { clicks, duplicates, late } = truth.cell(key);
        if (row !== undefined && !isSameJudged(row, truth.judged(key)))
          this.#fail('what is final is judged by the rules of its minute', `${table} ${key}: ${JSON.stringify(row)}`);
        if (row?.clicks !== clicks || row.duplicates !== duplicates || row.late !== late)
          this.#fail('what is final is right', `${table} ${key}: ${JSON.stringify(row)}, but ${clicks}`);
      }
    }
  }

  #quarantineIsWhole(expected: ReadonlyMap<string, string>, refused: number): void {
    const rows = this.#store.quarantine();
    const kept = rows.filter(row => row.reason !== 'refused');
    for (const row of kept) {
      const place = `${row.partition}|${row.offset}|${row.line}`;
      if (expected.get(place) !== row.reason) this.#fail('quarantine holds what is not counted', JSON.stringify(row));
    }
    if (kept.length !== expected.size)
      this.#fail('quarantine holds what is not counted', `${kept.length} lines instead of ${expected.size}`);
    if (rows.length - kept.length !== refused)
      this.#fail('what the store refuses is kept', `${rows.length - kept.length} instead of ${refused}`);
  }

  #rawIsWhole(expected: ReadonlySet<string>): void {
    const raw = new Set(this.#store.rawRows().map(rawKeyOf));
    for (const key of expected) if (!raw.has(key)) this.#fail('no loss', `${key} is in the log and not in raw`);
    for (const key of raw) if (!expected.has(key)) this.#fail('no invention', `${key} is in raw and not in the log`);
    const kept = new Set(this.#store.rawRows().map(row => row.click_id));
    // Instead of in raw, a click may be kept in quarantine, as future or refused.
    const quarantined = this.#store
      .quarantine()
      .map(row => row.raw)
      .join();
    for (const id of this.#accepted) {
      if (!kept.has(id) && !quarantined.includes(id)) this.#fail('no loss', `${id} was accepted and is nowhere`);
    }
  }

  /** By the store's own raw rows: distinct clicks per minute, without those that came too late, are what is counted. */
  #countsEqualRaw(): void {
    const partitionOf = new Map(this.truths.flatMap(({ partition, raw }) => [...raw].map(key => [key, partition])));
    const tooLate = new Set(this.truths.flatMap(truth => [...truth.tooLate]));
    const events = new Map<string, Set<string>>();
    for (const row of this.#store.rawRows()) {
      if (tooLate.has(rawKeyOf(row))) continue;
      const key = `${partitionOf.get(rawKeyOf(row))} ${Math.floor(row.clicked_at / 60_000) * 60}`;
      events.set(key, (events.get(key) ?? new Set()).add(`${row.ad_id} ${row.event_id}`));
    }
    const counts = new Map<string, number>();
    for (const { partition, minute, ad_id, clicks } of this.#store.adMinutes('ad_minute')) {
      if (ad_id === refusedAd) continue;
      counts.set(`${partition} ${minute}`, (counts.get(`${partition} ${minute}`) ?? 0) + clicks);
    }
    for (const key of new Set([...events.keys(), ...counts.keys()])) {
      const [count, distinct] = [counts.get(key) ?? 0, events.get(key)?.size ?? 0];
      this.onChecked('count against raw');
      if (count !== distinct)
        this.#fail('counts equal raw', `partition and minute ${key}: counted ${count}, ${distinct} distinct in raw`);
    }
  }

  /**
   * The same for each ad, over all partitions: no copy of a click may be counted in another partition than the first,
   * and what other ads have of the same ids changes nothing. Left out is what came too late.
   */
  #adsEqualRaw(): void {
    const tooLate = new Set(this.truths.flatMap(truth => [...truth.tooLate]));
    const minuteOf = ({ clicked_at }: RawRow) => Math.floor(clicked_at / 60_000) * 60;
    const events = new Map<string, Set<string>>();
    const adsOf = new Map<string, Set<string>>();
    for (const row of this.#store.rawRows()) {
      if (tooLate.has(rawKeyOf(row))) continue;
      const key = `${minuteOf(row)} ${row.ad_id}`;
      events.set(key, (events.get(key) ?? new Set()).add(row.event_id));
      const id = `${minuteOf(row)} ${row.event_id}`;
      adsOf.set(id, (adsOf.get(id) ?? new Set()).add(row.ad_id));
    }
    for (const ads of adsOf.values()) if (ads.size > 1) this.onChecked('an id under several ads');
    const counts = new Map<string, number>();
    for (const { ad_id, minute, clicks } of this.#store.adMinutes('ad_minute')) {
      if (ad_id === refusedAd) continue;
      counts.set(`${minute} ${ad_id}`, (counts.get(`${minute} ${ad_id}`) ?? 0) + clicks);
    }
    for (const key of new Set([...events.keys(), ...counts.keys()])) {
      const [count, distinct] = [counts.get(key) ?? 0, events.get(key)?.size ?? 0];
      this.onChecked('ad against raw');
      if (count !== distinct)
        this.#fail('a click counts once', `minute and ad ${key}: counted ${count}, ${distinct} distinct in raw`);
    }
  }

  #fail(check: string, detail: string): void {
    this.violation ??= new Violation(check, detail);
  }
}

function rawKeyOf({ click_id, ad_id, clicked_at }: RawRow): string {
  return rawKey(click_id, ad_id, clicked_at);
}

function keyOf({ minute, ad_id, country }: AdMinuteRow): string {
  return `${minute}|${ad_id}|${country}`;
}

function isSameJudged(row: Judged, { rules, invalid, invalid_by }: Judged): boolean {
  const byReason = (by: InvalidBy) => JSON.stringify(Object.entries(by).sort());
  return row.rules === rules && row.invalid === invalid && byReason(row.invalid_by) === byReason(invalid_by);
}

function rowOf(kind: unknown, line: string) {
  const parsed = JSON.parse(line);
  return kind === 'ad-minute' ? adMinuteRowOf(parsed) : parsed;
}

/**
 * Of one position, as at_least_once may write it twice, two owners may know over how many partitions clicks are spread
 * and not know it yet; and one that began there, behind the last record, has not seen when that came.
 */
function isSameProgress(...rows: readonly Readonly<Record<string, unknown>>[]): boolean {
  const isUnknown = rows.some(({ partitions }) => partitions === unknownPartitions);
  const isUnseen = rows.some(row => row['appended_at'] === 0);
  const [one, other] = rows.map(({ partitions, appended_at, ...row }) =>
    JSON.stringify([row, isUnknown || partitions, isUnseen || appended_at]),
  );
  return one === other;
}
