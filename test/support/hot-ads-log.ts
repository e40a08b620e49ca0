/** Topic `hot-ads` in memory: offsets, append times that may differ like brokers' clocks, and compaction. */

import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import type { ReadRecords } from '../../infra/kafka/read-parts.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import type { RuleBook } from '../../ingest/hot-ads/rule-book.ts';

interface Entry extends LogRecord {
  readonly key: string | undefined;
}

export class HotAdsLog {
  end = 0;
  #entries: Entry[] = [];

  append({ key, value, headers = {} }: OutgoingRecord, timestamp: number): void {
    const bytes = value === null ? null : Buffer.from(value);
    this.#entries.push({ key, offset: this.end++, timestamp, value: bytes, headers: { ...headers } });
  }

  /** What a fetch from `offset` brings, `most` records at most. */
  fetch(offset: number, most = Number.POSITIVE_INFINITY): ReadRecords {
    const records = this.#entries.filter(entry => entry.offset >= offset).slice(0, most);
    const last = records.at(-1)?.offset ?? this.end - 1;
    return { fetchedOffset: offset, nextOffset: Math.max(offset, last + 1), records };
  }

  /** Keeps the last record of each key; and of those that say that there is nothing, the ones appended after `since`. */
  compact(since: number): void {
    const last = new Map(this.#entries.map(entry => [entry.key, entry.offset]));
    this.#entries = this.#entries.filter(
      ({ key, offset, value, timestamp }) =>
        key === undefined || (last.get(key) === offset && (value !== null || timestamp >= since)),
    );
  }
}

/** Reads what there is from where the book stands. */
export function readOn(book: RuleBook, log: HotAdsLog, most?: number) {
  return book.read(log.fetch(book.position, most));
}
