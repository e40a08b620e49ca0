/**
 * Counts final minutes again from all their raw clicks, and returns the cells that differ from the stated counts.
 *
 * It uses the core that counted the clicks live. The lines come in the order of minutes. The core's out-of-orderness
 * bound is one minute here, so every minute stays open until all of it has been read, nothing is ever late, and the
 * core itself drops finished minutes. So the memory is that of one minute, whatever the range.
 *
 * Clicks are compared with those of their ad's home partition in that minute, as in the stream when no ad is split.
 * Copies of a click meet there even if the stream had spread the ad, so a recount needs no rules for hot ads. A minute
 * is counted by the rules of its time, both for ids that were not yet per ad and for the number of partitions. By which
 * rules its clicks are judged, the caller says (`judgeBy`).
 */
import { Corrupt } from '../../infra/errors.ts';
import { partitionOf } from '../../ingest/click.ts';
import { type PartitionRule, partitionsAt } from '../../ingest/hot-ads/partition-rule.ts';
import { RecordReader } from '../../ingest/record-reader.ts';
import { noRules, type RuleSet } from '../../ingest/validity/rules.ts';
import { type AdMinuteLine, type AdMinuteRow, adMinuteRowOf, notJudged } from '../ad-minute.ts';
import { freshCheckpoint } from '../core/checkpoint.ts';
import { PartitionAggregator } from '../core/partition-aggregator.ts';
import { windowMs, windowStartOf } from '../core/time.ts';
import type { CellChange, StatedRow } from '../restatement.ts';
import { changeOf } from './cell-change.ts';

/** The rules that hold from a minute on, until those of the next entry do. */
export interface RulesFrom {
  /** Epoch ms. */
  readonly from: number;
  readonly set: RuleSet;
}

export interface RecountSettings {
  /** The highest number of partitions that any minute has. */
  readonly partitions: number;
  /** Says which minutes have how many partitions. Where it is left out or says nothing, `partitions` holds. */
  readonly partitionRules?: readonly PartitionRule[];
  /**
   * By partition, the minute from which on ids are per ad (core/checkpoint.ts), or Infinity. A partition that is left
   * out has such ids in all minutes.
   */
  readonly idsPerAdFrom?: readonly number[];
  /** See id-hash.ts. */
  readonly hashSeed: number;
}

export class Recount {
  readonly #partitions: number;
  readonly #partitionRules: readonly PartitionRule[];
  readonly #aggregators: readonly PartitionAggregator[];
  /** In the order of time. */
  #rules: readonly RulesFrom[] = [];
  readonly #reader = new RecordReader(0);
  /** Rows from the core for minutes that are not yet compared, by `cellKey`. */
  readonly #counted = new Map<string, AdMinuteRow>();
  #minute = Number.NEGATIVE_INFINITY;
  #offset = 0;
  /** The number of lines by minute, without the minute of the last line. */
  readonly #linesOf = new Map<number, number>();
  #linesOfLast = 0;
  #adId = '';
  #adPartition = 0;

  constructor({ partitions, partitionRules = [], idsPerAdFrom = [], hashSeed }: RecountSettings) {
    this.#partitions = partitions;
    this.#partitionRules = partitionRules;
    const most = Math.max(partitions, ...partitionRules.map(rule => rule.partitions));
    this.#aggregators = Array.from({ length: most }, (_, partition) => {
      const bounds = { outOfOrdernessMs: windowMs, allowedLatenessMs: 0 };
      const settings = { partition, hashSeed, ...bounds, rulesAt: (minute: number) => this.#rulesAt(minute) };
      return new PartitionAggregator(settings, { ...freshCheckpoint(0), idsPerAdFrom: idsPerAdFrom[partition] ?? 0 });
    });
  }

  /** The minute of the last line, in epoch ms. All minutes before it are complete. */
  get minute(): number {
    return this.#minute;
  }

  /** Returns how many lines belong to minutes before `until` (epoch ms). Each line is returned once. */
  drainLines(until: number): number {
    let lines = 0;
    for (const [minute, ofMinute] of this.#linesOf) {
      if (minute >= until) continue;
      lines += ofMinute;
      this.#linesOf.delete(minute);
    }
    if (this.#minute >= until) return lines;
    lines += this.#linesOfLast;
    this.#linesOfLast = 0;
    return lines;
  }

  /**
   * Says by which rules the following lines are judged, in the order of time. Minutes before the first entry have none.
   * The rules of minutes of which lines were processed must stay what they were.
   */
  judgeBy(rules: readonly RulesFrom[]): void {
    this.#rules = rules;
  }

  /** Processes canonical lines in the order of their minutes. */
  feed(page: Uint8Array): void {
    const reader = this.#reader;
    let runStart = 0;
    let runPartition = -1;
    reader.open(0, noAppendTime, page);
    while (reader.next()) {
      if (!reader.ok) throw new Corrupt(`click_raw contains a line that is not a click: ${reader.problem}`);
      this.#advance(windowStartOf(reader.clickedAt));
      const partition = this.#partitionAt(reader);
      if (partition === runPartition) continue;
      this.#step(runPartition, page, runStart, reader.lineStart);
      runStart = reader.lineStart;
      runPartition = partition;
    }
    this.#step(runPartition, page, runStart, page.length);
  }

  /**
   * Returns the cells of minutes before `until` (epoch ms) that differ from `stated`, which holds all rows of those
   * minutes.
   */
  compare(until: number, stated: readonly StatedRow[]): CellChange[] {
    this.#drain();
    const before = Map.groupBy(stated, cellKey);
    const changes: CellChange[] = [];
    const closed: AdMinuteRow[] = [];
    for (const row of this.#counted.values()) if (row.minute * 1_000 < until) closed.push(row);
    for (const row of closed) {
      const key = cellKey(row);
      this.#counted.delete(key);
      const change = changeOf(row, before.get(key) ?? []);
      before.delete(key);
      if (change) changes.push(change);
    }
    for (const rows of before.values()) {
      const [{ ad_id, country, minute }] = rows as [StatedRow];
      const nothing = {
        minute,
        ad_id,
        country,
        clicks: 0,
        duplicates: 0,
        ...notJudged,
        rules: this.#rulesAt(minute * 1_000).version,
        partition: this.#partitionOf(ad_id, minute * 1_000),
      };
      const change = changeOf(nothing, rows);
      if (change) changes.push(change);
    }
    return changes;
  }

  #rulesAt(minute: number): RuleSet {
    return this.#rules.findLast(({ from }) => from <= minute)?.set ?? noRules;
  }

  #advance(minute: number): void {
    if (minute < this.#minute) throw new RangeError(`minute ${minute} comes after minute ${this.#minute}`);
    if (minute > this.#minute) {
      this.#adId = '';
      if (this.#linesOfLast > 0) this.#linesOf.set(this.#minute, this.#linesOfLast);
      this.#linesOfLast = 0;
    }
    this.#linesOfLast++;
    this.#minute = minute;
  }

  /** The lines of one ad stand together, so its partition is computed once. */
  #partitionAt({ bytes, adIdStart, adIdEnd }: RecordReader): number {
    if (!equals(this.#adId, bytes, adIdStart, adIdEnd)) {
      this.#adId = decoder.decode(bytes.subarray(adIdStart, adIdEnd));
      this.#adPartition = this.#partitionOf(this.#adId, this.#minute);
    }
    return this.#adPartition;
  }

  #partitionOf(adId: string, minute: number): number {
    return partitionOf(adId, partitionsAt(this.#partitionRules, minute) || this.#partitions);
  }

  #step(partition: number, page: Uint8Array, start: number, end: number): void {
    this.#aggregators[partition]?.process(this.#offset++, noAppendTime, page, start, end);
  }

  #drain(): void {
    for (const aggregator of this.#aggregators) {
      const { rowChunks, quarantined } = aggregator.drain();
      const [refused] = quarantined;
      if (refused) throw new Corrupt(`a raw click was not recounted: ${refused.reason} ${refused.raw}`);
      for (const chunk of rowChunks) {
        for (const row of rowsIn(chunk)) this.#counted.set(cellKey(row), row);
      }
    }
  }
}

/** Parses rows that the core of this very process has just written. */
function rowsIn(chunk: Uint8Array): AdMinuteRow[] {
  const lines: AdMinuteLine[] = JSON.parse(`[${decoder.decode(chunk).trimEnd().replaceAll('\n', ',')}]`);
  return lines.map(adMinuteRowOf);
}

const decoder = new TextDecoder();

/** A time later than any click. The raw clicks contain no line that was dated ahead of its append time. */
const noAppendTime = Number.MAX_SAFE_INTEGER;

function cellKey({ minute, ad_id, country }: { minute: number; ad_id: string; country: string }): string {
  return `${minute} ${country} ${ad_id}`;
}

function equals(text: string, b: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== b[start + i]) return false;
  return true;
}
