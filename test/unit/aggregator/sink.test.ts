import { describe, expect, it, vi } from 'vitest';
import { judgedColumns } from '../../../aggregator/ad-minute.ts';
import { aggregateRows, rowContract } from '../../../aggregator/sink/aggregate-rows.ts';
import { BatchInserter } from '../../../aggregator/sink/batch-inserter.ts';
import { KnownRecords } from '../../../aggregator/sink/known-records.ts';
import { rawRows } from '../../../aggregator/sink/raw-rows.ts';
import type { TableRows } from '../../../aggregator/sink/table-rows.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { Corrupt, RefusedRows, Retryable } from '../../../infra/errors.ts';
import type { FetchedBatch } from '../../../infra/kafka/group-consumer.ts';
import type { LogRecord } from '../../../infra/kafka/record-batch.ts';
import { createLog } from '../../../infra/log.ts';
import { release } from '../../../infra/release.ts';
import { formatLine } from '../../../ingest/click.ts';
import { click, minute0 } from '../../support/clicks.ts';
import { noErasures } from '../../support/no-erasures.ts';

const record = (value: string | null, offset = 0) => ({
  offset,
  timestamp: minute0,
  value: value === null ? null : Buffer.from(value),
});
const text = (rows: readonly Buffer[]) => Buffer.concat([...rows]).toString();

describe('raw rows', () => {
  it('takes canonical lines over as they are, one line each, whatever the newlines', () => {
    const [a, b, c] = [click(), click(), click()].map(formatLine);
    expect(
      text(rawRows(0, [record(`${a}\n${b}`), record(null), record(''), record(`\n${c}\n\n`)], noErasures.book)),
    ).toBe(`${a}\n${b}\n${c}\n`);
  });

  it('writes other lines canonically, with the ids of their place in the log where they have none', () => {
    const foreign = JSON.stringify({ country: 'DE', clicked_at: minute0, ad_id: 'x' });
    expect(text(rawRows(2, [record(`${foreign}\n${foreign}`, 7)], noErasures.book))).toBe(
      [0, 1]
        .map(
          line =>
            `{"click_id":"log-2-7-${line}","event_id":"log-2-7-${line}","ad_id":"x","clicked_at":${minute0},"received_at":${minute0},"country":"DE"}\n`,
        )
        .join(''),
    );
  });

  it('leaves out blank lines within a record: the store would refuse them, and with them all others', () => {
    const [a, b] = [click(), click()].map(formatLine);
    expect(text(rawRows(0, [record(`${a}\n \n${b}\n\t\r\n`)], noErasures.book))).toBe(`${a}\n${b}\n`);
  });

  it('leaves out what the aggregator quarantines as malformed or future, and nothing else', () => {
    const good = formatLine(click());
    const ancient = formatLine(click({ clickedAt: 1_000 }));
    const future = formatLine(click({ clickedAt: minute0 + 300_001 }));
    expect(
      text(rawRows(0, [record(`${good}\nnope\n${future}\n${ancient}\n{"ad_id":1}\n${good}`)], noErasures.book)),
    ).toBe(`${good}\n${ancient}\n${good}\n`);
  });
});

describe('aggregate rows', () => {
  const of = (kind: string, value: string | null) => ({ ...record(value), headers: { kind: Buffer.from(kind) } });

  it('orders progress after all it covers', () => {
    const records = [of('progress', 'p\n'), of('ad-minute', 'a\n'), of('quarantine', 'q\n')];
    const rows = aggregateRows({ topic: 'aggregates', partition: 0, records }, noErasures.book);
    expect([...rows].map(([table, buffers]) => [table, text(buffers)])).toEqual([
      ['ad_minute', 'a\n'],
      ['ad_minute', ''],
      ['quarantine', 'q\n'],
      ['partition_progress', 'p\n'],
    ]);
  });

  it('names the columns of counts that were judged by rules, and of no others', () => {
    const judged = { ...of('ad-minute', 'j\n'), headers: { kind: 'ad-minute', adclicks_format: '2' } };
    const rows = [
      ...aggregateRows(
        { topic: 'aggregates', partition: 0, records: [judged, of('ad-minute', 'a\n')] },
        noErasures.book,
      ),
    ];
    expect(rows.slice(0, 2).map(([table, buffers, columns]) => [table, text(buffers), columns])).toEqual([
      ['ad_minute', 'a\n', undefined],
      ['ad_minute', 'j\n', judgedColumns],
    ]);
  });

  it('takes none where a record has no value: nothing is passed over', () => {
    const records = [of('ad-minute', 'a\n'), of('ad-minute', null)];
    expect(() => aggregateRows({ topic: 'aggregates', partition: 3, records }, noErasures.book)).toThrow(Corrupt);
  });
});

describe('known records', () => {
  const at = (offset: number, headers: Record<string, string>) => ({
    ...record('x\n', offset),
    headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])),
  });
  const batchOf = (...records: LogRecord[]): FetchedBatch => ({
    ...{ topic: 'aggregates', partition: 3, fetchedOffset: 5, nextOffset: 9, highWatermark: 9, records },
    heartbeat: async () => {},
  });
  const known = (batch: FetchedBatch) => {
    const found = new KnownRecords(batch, rowContract);
    const offsets = [...found].map(({ offset }) => offset);
    return { offsets, next: found.batch.nextOffset, why: found.endedBy?.message };
  };

  it('are all of a batch, those of the release before without a format among them', () => {
    const batch = batchOf(
      at(5, { kind: 'ad-minute' }),
      at(6, { kind: 'progress', adclicks_format: '1', newer: 'header' }),
    );
    expect(known(batch)).toEqual({ offsets: [5, 6], next: 9, why: undefined });
    const all = new KnownRecords(batch, rowContract);
    expect(() => all.batch).toThrow('only when its records were read');
    expect([...all].length === 2 && all.batch).toBe(batch);
  });

  it.each([
    ['kind', { kind: 'ad-hour' }, 'header kind "ad-hour"'],
    ['format', { kind: 'ad-minute', adclicks_format: '3' }, 'header adclicks_format "3" of header kind "ad-minute"'],
    ['record without a kind', {}, 'a record without header kind'],
  ])('end before an unknown %s, with all that stands before it', (_, headers, why) => {
    const good = at(5, { kind: 'ad-minute' });
    expect(known(batchOf(good, at(7, headers), at(8, { kind: 'progress' })))).toEqual({
      offsets: [5],
      next: 7,
      why: expect.stringContaining(`topic aggregates, partition 3, offset 7: ${why} is unknown to release ${release}`),
    });
  });
});

describe('batch inserter', () => {
  function harness(
    given: { failures?: unknown[]; lingerMs?: number; intervalMs?: number; during?: () => Promise<void> } = {},
  ) {
    const events: string[] = [];
    const failures = given.failures ?? [];
    const clickhouse = {
      async insert(table: string, ndjson: string | Buffer) {
        const failure = failures.shift();
        events.push(`${failure ? 'fail' : 'insert'} ${table} ${String(ndjson).trim().replaceAll('\n', ',')}`);
        if (failure) throw failure;
        await given.during?.();
      },
    } as unknown as ClickHouse;
    const inserter = new BatchInserter({
      erasures: noErasures,
      node: 'only',
      clickhouse,
      log: createLog('test', 'fatal'),
      lingerMs: given.lingerMs ?? 5,
      maxBatchBytes: 1_000,
      intervalMs: given.intervalMs ?? 0,
      async commit(topic, offsets) {
        events.push(`commit ${topic} ${[...offsets].map(([p, o]) => `${p}=${o}`)}`);
      },
      async onRefused({ partition }) {
        events.push(`one by one ${partition}`);
      },
    });
    return { events, inserter };
  }
  const batch = (
    partition: number,
    nextOffset: number,
    heartbeat: () => Promise<void> = async () => {},
    highWatermark = nextOffset,
  ): FetchedBatch => ({
    topic: 'clicks',
    partition,
    nextOffset,
    fetchedOffset: 0,
    highWatermark,
    records: [],
    heartbeat,
  });
  const rows = (line: string): TableRows => new Map([['t', [Buffer.from(`${line}\n`)]]]);

  it('inserts the rows of several partitions together, then commits their offsets', async () => {
    const { events, inserter } = harness();
    await Promise.all([inserter.insert(batch(0, 5), rows('a')), inserter.insert(batch(1, 9), rows('b'))]);
    expect(events).toEqual(['insert t a,b', 'commit clicks 0=5,1=9']);
  });

  it('gives up what has failed once it is closed: rows and offsets come again to whoever reads on', async () => {
    const { events, inserter } = harness({ failures: Array.from({ length: 100 }, () => new Retryable('away')) });
    const inserted = inserter.insert(batch(0, 5), rows('a'));
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(0));
    inserter.close();
    await expect(inserted).rejects.toThrow('away');
    const tried = events.length;
    await new Promise(resolve => setTimeout(resolve, 300));
    expect(events.filter(event => event.startsWith('commit'))).toEqual([]);
    expect(events.length).toBe(tried);
  });

  it('repeats the same rows until the store takes them, and commits only then', async () => {
    const { events, inserter } = harness({ failures: [new Retryable('away'), new Retryable('away')] });
    await inserter.insert(batch(0, 5), rows('a'));
    expect(events).toEqual(['fail t a', 'fail t a', 'insert t a', 'commit clicks 0=5']);
    expect(inserter.failing).toBeUndefined();
  });

  it('inserts without waiting when much has gathered', async () => {
    const { events, inserter } = harness({ lingerMs: 60_000 });
    await inserter.insert(batch(0, 5), rows('x'.repeat(1_000)));
    expect(events).toHaveLength(2);
  });

  it('inserts without waiting where more is in the log already, and what else has come with it', async () => {
    const { events, inserter } = harness({ lingerMs: 60_000, intervalMs: 60_000 });
    const behind = batch(1, 9, undefined, 10);
    await Promise.all([inserter.insert(batch(0, 5), rows('a')), inserter.insert(behind, rows('b'))]);
    expect(events).toEqual(['insert t a,b', 'commit clicks 0=5,1=9']);
  });

  it('holds back who has all that is in the log, once that is inserted and committed', async () => {
    const { events, inserter } = harness({ intervalMs: 200 });
    const startedAt = performance.now();
    const inserted = inserter.insert(batch(0, 5), rows('a'));
    await expect.poll(() => events).toEqual(['insert t a', 'commit clicks 0=5']);
    expect(performance.now() - startedAt).toBeLessThan(150);
    await inserted;
    expect(performance.now() - startedAt).toBeGreaterThan(190);
  });

  it('leaves rows alone that it could not insert: the next ones lie elsewhere', async () => {
    const given: Buffer[] = [];
    const inserter = new BatchInserter({
      erasures: noErasures,
      node: 'only',
      clickhouse: {
        async insert(_table: string, rows: Buffer) {
          given.push(rows);
          if (given.length === 1) throw new Retryable('no answer');
        },
      } as unknown as ClickHouse,
      log: createLog('test', 'fatal'),
      lingerMs: 0,
      maxBatchBytes: 1_000,
      intervalMs: 0,
      commit: async () => undefined,
      onRefused: async () => undefined,
    });
    for (const line of ['a', 'b', 'c']) await inserter.insert(batch(0, 1), rows(line));
    expect(given.map(String)).toEqual(['a\n', 'a\n', 'c\n', 'c\n']);
  });

  it('puts in line by line what the store refuses as a batch', async () => {
    const { events, inserter } = harness({ failures: [new RefusedRows('bad')] });
    await inserter.insert(batch(3, 5), rows('a'));
    expect(events).toEqual(['fail t a', 'one by one 3', 'commit clicks 3=5']);
  });

  it('inserts rows of two forms one after the other, and commits once both are in', async () => {
    const { events, inserter } = harness();
    const mixed = new Map([
      ['t', [Buffer.from('[1]\n'), Buffer.from('{"a":1}'), Buffer.from('\n'), Buffer.from('[2]\n')]],
    ]);
    await inserter.insert(batch(0, 5), mixed);
    expect(events).toEqual(['insert t {"a":1}', 'insert t [1],[2]', 'commit clicks 0=5']);
  });

  it('leaves out what a rebalance has taken away before its turn, and takes at most a batch at a time', async () => {
    const release = Promise.withResolvers<void>();
    const { events, inserter } = harness({ lingerMs: 0, during: () => release.promise });
    const first = inserter.insert(batch(0, 5), rows('a'));
    vi.useFakeTimers();
    const lost = inserter.insert(
      batch(1, 5, () => Promise.reject(new Error('rebalance'))),
      rows('lost'),
    );
    const outcome = expect(lost).rejects.toThrow('rebalance');
    const large = [2, 3, 4].map(partition => inserter.insert(batch(partition, 5), rows('x'.repeat(400))));
    await vi.advanceTimersByTimeAsync(2_500);
    await outcome;
    vi.useRealTimers();
    release.resolve();
    await Promise.all([first, ...large]);
    expect(events.map(event => event.replaceAll(/x+/g, 'x'))).toEqual([
      ...['insert t a', 'commit clicks 0=5'],
      ...['insert t x,x', 'commit clicks 2=5,3=5'],
      ...['insert t x', 'commit clicks 4=5'],
    ]);
  });

  it('tells for how long an insert has been under way', async () => {
    const release = Promise.withResolvers<void>();
    const { inserter } = harness({ lingerMs: 0, during: () => release.promise });
    expect(inserter.insertingForMs).toBe(0);
    const inserted = inserter.insert(batch(0, 5), rows('a'));
    await expect.poll(() => inserter.insertingForMs).toBeGreaterThan(5);
    release.resolve();
    await inserted;
    expect(inserter.insertingForMs).toBe(0);
  });
});
