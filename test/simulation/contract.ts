/**
 * What the fakes and the real broker and ClickHouse must have in common: run against both, so that the fakes cannot lie.
 * Everything goes through the adapters in `infra/`, as in the processes.
 */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdMinuteRow, Progress } from '../../aggregator/ad-minute.ts';
import { notJudged } from '../../aggregator/ad-minute.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { Corrupt, Fenced, RefusedRows } from '../../infra/errors.ts';
import { type Admin, ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { type FetchedBatch, openGroupConsumer } from '../../infra/kafka/group-consumer.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { openTransactionalProducer, type TransactionContent } from '../../infra/kafka/transactional-producer.ts';
import { createLog } from '../../infra/log.ts';
import { type Names, names as namesOf } from '../../infra/topics.ts';
import { formatLine } from '../../ingest/click.ts';
import { click } from '../support/clicks.ts';
import { eventually } from '../support/wait.ts';
import { openRaw } from './raw-transactions.ts';

export interface BrokerUnderTest extends AsyncDisposable {
  readonly kafka: KafkaClient;
}

export interface StoreUnderTest extends AsyncDisposable {
  readonly clickhouse: ClickHouse;
  /** All as FINAL shows it. */
  adMinutes(): Promise<readonly AdMinuteRow[]>;
  progress(): Promise<readonly { readonly partition: number; readonly position: number }[]>;
  rawClickIds(): Promise<readonly string[]>;
}

const log = createLog('contract', 'silent');
let prefixes = 0;

export function describeBroker(title: string, open: () => Promise<BrokerUnderTest>): void {
  describe(title, () => {
    let broker: BrokerUnderTest;
    let admin: Admin;
    beforeAll(async () => {
      broker = await open();
      admin = await openAdmin(broker.kafka);
    });
    afterAll(async () => {
      await admin?.[Symbol.asyncDispose]();
      await broker?.[Symbol.asyncDispose]();
    });

    /** Topics of its own. */
    const setUp = async () => {
      const names = namesOf(`contract-${process.pid}-${++prefixes}-`);
      await ensureTopics(broker.kafka, names, 1);
      const commit = () => admin.committed(names.aggregatorGroup, names.topic('clicks'), 0);
      // A broker that has just started takes a while until it knows its groups.
      await eventually('the group’s coordinator', () => commit().then(isAnswered, () => false));
      const read = (isolation: Isolation) => readAll(broker.kafka, admin, names, isolation);
      return { kafka: broker.kafka, names, commit, read, id: names.transactionalId(0) };
    };

    it('shows records and offset of a transaction, with its metadata, once it is committed', async () => {
      const { kafka, names, commit, read, id } = await setUp();
      await using writer = await openTransactionalProducer(kafka, id);
      expect(await commit()).toBeUndefined();
      await writer.commit(contentOf(names, 7, 'a', 'b'));
      await becomes(commit, { offset: 7, metadata: 'metadata of 7' });
      await becomes(async () => (await read('read_committed')).values, ['a', 'b']);
      await writer.commit(contentOf(names, 9, 'c'));
      await becomes(commit, { offset: 9, metadata: 'metadata of 9' });
      await becomes(async () => (await read('read_committed')).values, ['a', 'b', 'c']);
    });

    it('commits records of several sends without an offset as well, in their order, and fences who came before', async () => {
      const { kafka, names, commit, read, id } = await setUp();
      await using former = await openTransactionalProducer(kafka, id);
      const said = (...values: string[]) => {
        const send = (value: string) => contentOf(names, 0, value).sends;
        return { sends: values.flatMap(send) };
      };
      await former.commit(said('a', 'b', 'c'));
      await becomes(async () => (await read('read_committed')).values, ['a', 'b', 'c']);
      await using writer = await openTransactionalProducer(kafka, id, { timeoutMs: 60_000, patienceMs: 50_000 });
      await expect(former.commit(said('zombie'))).rejects.toBeInstanceOf(Fenced);
      await writer.commit(said('d'));
      await becomes(async () => (await read('read_committed')).values, ['a', 'b', 'c', 'd']);
      expect(await commit()).toBeUndefined();
    });

    it('hides what is aborted from readers of committed records, and lets them pass over it', async () => {
      const { kafka, names, commit, read, id } = await setUp();
      await using raw = await openRaw(kafka, id);
      const transaction = await raw.transaction();
      await transaction.send(names.topic('aggregates'), 'never');
      await transaction.sendOffsets(names, 5);
      await transaction.abort();
      expect(await commit()).toBeUndefined();
      await eventually('the marker', async () => (await admin.endOffsets(names.topic('aggregates'))).get(0) === 2);
      const [committed, everything] = [await read('read_committed'), await read('read_uncommitted')];
      expect([committed.values, everything.values]).toEqual([[], ['never']]);
    });

    it.each([1, 0] as const)('writes with acks %i, and waits for no answer that does not come', async acks => {
      const { kafka, names } = await setUp();
      const topic = names.topic('clicks');
      // A broker names a new topic's leader a moment before it leads: what nobody acknowledges is lost until then.
      await using acknowledged = createProducer(kafka, { acks: -1, timeoutMs: 30_000 });
      await acknowledged.send(topic, [{ partition: 0, value: 'first' }]);
      // A send that waits for what does not come fails.
      await using plain = createProducer(kafka, { acks, timeoutMs: 4_000 });
      for (const value of ['a', 'b']) await plain.send(topic, [{ partition: 0, value }]);
      await eventually('two records more', async () => (await admin.endOffsets(topic)).get(0) === 3);
    });

    it('holds back everything behind an open transaction, other writers’ records too', async () => {
      const { kafka, names, read, id } = await setUp();
      await using plain = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
      await using raw = await openRaw(kafka, id);
      const topic = names.topic('aggregates');
      await plain.send(topic, [{ partition: 0, value: 'before' }]);
      const transaction = await raw.transaction();
      await transaction.send(names.topic('aggregates'), 'pending');
      await plain.send(topic, [{ partition: 0, value: 'behind' }]);
      expect((await admin.endOffsets(topic)).get(0)).toBe(1);
      expect((await admin.endOffsets(topic, 'read_uncommitted')).get(0)).toBe(3);
      expect((await read('read_committed')).values).toEqual(['before']);
      await transaction.commit();
      await eventually('the marker', async () => ((await admin.endOffsets(topic)).get(0) ?? 0) >= 4);
      expect((await read('read_committed')).values).toEqual(['before', 'pending', 'behind']);
    });

    it('refuses the former owner once another has fenced it, and shows nothing of what it tried', async () => {
      const { kafka, names, commit, read, id } = await setUp();
      await using former = await openTransactionalProducer(kafka, id);
      await former.commit(contentOf(names, 1, 'a'));
      await using owner = await openTransactionalProducer(kafka, id);
      await expect(former.commit(contentOf(names, 2, 'zombie'))).rejects.toBeInstanceOf(Fenced);
      await owner.commit(contentOf(names, 2, 'b'));
      await becomes(commit, { offset: 2, metadata: 'metadata of 2' });
      await becomes(async () => (await read('read_committed')).values, ['a', 'b']);
    });

    it('ends by the fence what the former owner left open: records and offset are gone', async () => {
      const { kafka, names, commit, read, id } = await setUp();
      await using former = await openRaw(kafka, id);
      const transaction = await former.transaction();
      await transaction.send(names.topic('aggregates'), 'left open');
      await transaction.sendOffsets(names, 5);
      expect(await commit()).toBeUndefined();
      await using _ = await openTransactionalProducer(kafka, id);
      expect(await commit()).toBeUndefined();
      await expect(transaction.commit()).rejects.toThrow();
      expect(await commit()).toBeUndefined();
      expect((await read('read_committed')).values).toEqual([]);
    });

    it('tells after the fence, once and for all, whether a commit without an answer has happened', async () => {
      const { kafka, names, commit, read, id } = await setUp();
      const expected: string[] = [];
      for (let n = 1; n <= 8; n++) {
        await using former = await openRaw(kafka, id);
        const transaction = await former.transaction();
        await transaction.send(names.topic('aggregates'), `v${n}`);
        await transaction.sendOffsets(names, n);
        const unanswered = transaction.commit().catch(() => undefined);
        await using _ = await openTransactionalProducer(kafka, id);
        const offset = (await commit())?.offset;
        if (offset === n) expected.push(`v${n}`);
        await unanswered;
        expect((await commit())?.offset).toBe(offset);
        expect((await read('read_committed')).values).toEqual(expected);
      }
    });

    it('stamps records with its own time, one for all of a batch', async () => {
      const { kafka, names, read } = await setUp();
      await using plain = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
      const before = Date.now();
      for (const values of [['a', 'b'], ['c']]) {
        await plain.send(
          names.topic('aggregates'),
          values.map(value => ({ partition: 0, value })),
        );
      }
      const { timestamps } = await read('read_committed');
      expect(timestamps[0]).toBe(timestamps[1]);
      expect(timestamps[2]).toBeGreaterThanOrEqual(timestamps[0]!);
      expect(timestamps[0]).toBeGreaterThanOrEqual(before - 1_000);
      expect(timestamps[2]).toBeLessThanOrEqual(Date.now() + 1_000);
    });

    it('hands over batches from where their owner has sought, and keeps what a member commits', async () => {
      const { kafka, names } = await setUp();
      const topic = names.topic('clicks');
      await using plain = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
      for (const value of ['a', 'b', 'c']) await plain.send(topic, [{ partition: 0, value }]);
      const batches: FetchedBatch[] = [];
      await using consumer = await openReader(kafka, names.rawSinkGroup, topic, 'read_uncommitted', 1, batches);
      await eventually('two records', () => recordsOf(batches).length === 2);
      expect([batches[0]?.fetchedOffset, batches.at(-1)?.nextOffset, batches.at(-1)?.highWatermark]).toEqual([1, 3, 3]);
      expect(recordsOf(batches).map(record => String(record.value))).toEqual(['b', 'c']);
      await consumer.commit(topic, new Map([[0, { offset: 3, metadata: 'm' }]]));
      expect(await admin.committed(names.rawSinkGroup, topic, 0)).toEqual({ offset: 3, metadata: 'm' });
    });

    it('reads on where its group has committed, and from the beginning in a topic where it has not', async () => {
      const { kafka, names } = await setUp();
      const [one, other] = [names.topic('clicks'), names.topic('quarantine')];
      await using plain = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
      for (const topic of [one, other]) {
        for (const value of ['a', 'b']) await plain.send(topic, [{ partition: 0, value: `${topic} ${value}` }]);
      }
      const group = names.rawSinkGroup;
      const batches: FetchedBatch[] = [];
      {
        await using first = await openReader(kafka, group, one, 'read_uncommitted', 0, batches);
        await eventually('two records', () => recordsOf(batches).length === 2);
        await first.commit(one, new Map([[0, { offset: 1, metadata: '' }]]));
      }
      batches.length = 0;
      await using _ = await openReader(kafka, group, [one, other], 'read_committed', undefined, batches);
      await eventually('three records', () => recordsOf(batches).length === 3);
      const values = recordsOf(batches).map(record => String(record.value));
      expect(values.sort()).toEqual([`${one} b`, `${other} a`, `${other} b`]);
    });

    it('tells what retention has removed', async () => {
      const { kafka, names } = await setUp();
      const topic = names.topic('clicks');
      await using plain = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
      for (const value of ['a', 'b', 'c']) await plain.send(topic, [{ partition: 0, value }]);
      await eventually('three records', async () => (await admin.endOffsets(topic)).get(0) === 3);
      await admin.deleteBefore(topic, new Map([[0, 2]]));
      expect((await admin.ranges(topic)).get(0)).toEqual({ start: 2, end: 3 });
    });

    it('ends a consumer that asks for what retention has removed: nothing is read, and nothing committed', async () => {
      const { kafka, names } = await setUp();
      const topic = names.topic('clicks');
      await using plain = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
      for (const value of ['a', 'b', 'c']) await plain.send(topic, [{ partition: 0, value }]);
      await eventually('three records', async () => (await admin.endOffsets(topic)).get(0) === 3);
      await admin.deleteBefore(topic, new Map([[0, 2]]));
      const [batches, crashes]: [FetchedBatch[], Error[]] = [[], []];
      const onCrash = (error: Error) => crashes.push(error);
      await using _ = await openReader(kafka, names.rawSinkGroup, topic, 'read_uncommitted', 1, batches, none, onCrash);
      await eventually('the end', () => crashes.length > 0);
      expect(crashes).toEqual([expect.any(Corrupt)]);
      expect(batches).toEqual([]);
      expect(await admin.committed(names.rawSinkGroup, topic, 0)).toBeUndefined();
    });
  });
}

/** A commit is decided when it is answered, and visible a moment later; only after a fence is it so at once. */
async function becomes<T>(probe: () => Promise<T>, expected: T): Promise<void> {
  const isEqual = async () => JSON.stringify(await probe()) === JSON.stringify(expected);
  await eventually('visible', isEqual).catch(() => undefined);
  expect(await probe()).toEqual(expected);
}

const isAnswered = () => true;
const none = () => undefined;

type Isolation = 'read_committed' | 'read_uncommitted';

function contentOf(names: Names, offset: number, ...values: readonly string[]): TransactionContent {
  const records = values.map(value => ({ partition: 0, value: Buffer.from(value), headers: { kind: 'x' } }));
  return {
    sends: [{ topic: names.topic('aggregates'), records }],
    group: names.aggregatorGroup,
    topic: names.topic('clicks'),
    partition: 0,
    commit: { offset, metadata: `metadata of ${offset}` },
  };
}

/** All records of `aggregates` up to its last stable offset, or to its end. */
async function readAll(kafka: KafkaClient, admin: Admin, names: Names, isolation: Isolation) {
  const topic = names.topic('aggregates');
  const end = (await admin.endOffsets(topic)).get(0) ?? 0;
  const batches: FetchedBatch[] = [];
  let position = 0;
  const group = `reader-${process.pid}-${++prefixes}`;
  await using _ = await openReader(kafka, group, topic, isolation, 0, batches, next => {
    position = next;
  });
  await eventually('read to the end', () => position >= end);
  const records = recordsOf(batches);
  return { values: records.map(r => String(r.value)), timestamps: records.map(r => r.timestamp) };
}

const recordsOf = (batches: readonly FetchedBatch[]) => batches.flatMap(batch => [...batch.records]);

async function openReader(
  kafka: KafkaClient,
  group: string,
  topics: string | readonly string[],
  isolation: Isolation,
  /** Undefined: from where its group has committed. */
  from: number | undefined,
  batches: FetchedBatch[],
  onPosition: (next: number) => void = () => {},
  onCrash: (error: Error) => void = none,
) {
  const link: { consumer?: Awaited<ReturnType<typeof openGroupConsumer>> } = {};
  return await openGroupConsumer(kafka, {
    group,
    topics: [topics].flat(),
    isolation,
    sessionTimeoutMs: 10_000,
    maxWaitMs: 50,
    minBytes: 1,
    maxBytes: 1 << 20,
    maxBytesPerPartition: 1 << 20,
    concurrency: 1,
    keepsRecords: true,
    log,
    onOpen: opened => {
      link.consumer = opened;
    },
    onAssigned() {
      if (from !== undefined) for (const topic of [topics].flat()) link.consumer?.seek(topic, 0, from);
    },
    async onBatch(batch) {
      batches.push(batch);
      onPosition(batch.nextOffset);
    },
    onGap: (_topic, _partition, _first, next) => onPosition(next),
    onCrash,
  });
}

export function describeStore(title: string, open: () => Promise<StoreUnderTest>): void {
  describe(title, () => {
    // The tables forget what is old.
    const clickedAt = Date.now();
    let store: StoreUnderTest;
    beforeAll(async () => {
      store = await open();
    });
    afterAll(() => store?.[Symbol.asyncDispose]());
    const insert = (table: string, ...rows: readonly object[]) =>
      store.clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
    const rowOf = (ad_id: string, version: number, clicks: number): AdMinuteRow => ({
      minute: Math.floor(clickedAt / 60_000) * 60,
      ad_id,
      country: 'KR',
      partition: 0,
      version,
      clicks,
      duplicates: 0,
      late: 0,
      ...notJudged,
    });
    const countsOf = async (ad: string) => (await store.adMinutes()).filter(row => row.ad_id === ad).map(r => r.clicks);

    it('shows of a key the row of the highest version, whatever was inserted when and how often', async () => {
      await insert('ad_minute', rowOf('a', 20, 5), rowOf('b', 1, 1));
      await insert('ad_minute', rowOf('a', 10, 3));
      await insert('ad_minute', rowOf('a', 20, 5), rowOf('b', 2, 2));
      expect(await countsOf('a')).toEqual([5]);
      expect(await countsOf('b')).toEqual([2]);
    });

    it('shows of a partition the furthest progress', async () => {
      const at = (partition: number, position: number): Progress => {
        const totals = { received: 0, counted: 0, duplicates: 0, quarantined: 0, acknowledged: 0, missing: 0 };
        const times = { watermark: 0, final_until: 0, appended_at: 0, invalid: 0, ids_per_ad_from: 0 };
        return { partition, partitions: 2, position, ...times, ...totals };
      };
      for (const position of [7, 9, 8]) await insert('partition_progress', at(1, position));
      expect(await store.progress()).toMatchObject([{ partition: 1, position: 9 }]);
    });

    it('shows a raw click once, however often it was inserted', async () => {
      const [one, other] = [click({ clickedAt }), click({ clickedAt })];
      const lines = [one, other].map(formatLine);
      await store.clickhouse.insert('click_raw', lines.join('\n'));
      await store.clickhouse.insert('click_raw', `${lines[0]}\n`);
      expect([...(await store.rawClickIds())].sort()).toEqual([one.clickId, other.clickId].sort());
    });

    it('takes nothing of a batch with a line that it refuses', async () => {
      const before = [...(await store.rawClickIds())].sort();
      const lines = [
        formatLine(click({ clickedAt })),
        `{"click_id":"x","event_id":"x","ad_id":5,"clicked_at":${clickedAt}}`,
      ];
      await expect(store.clickhouse.insert('click_raw', lines.join('\n'))).rejects.toBeInstanceOf(RefusedRows);
      expect([...(await store.rawClickIds())].sort()).toEqual(before);
    });
  });
}
