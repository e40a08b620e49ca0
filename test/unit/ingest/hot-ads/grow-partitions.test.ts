import { describe, expect, it } from 'vitest';
import { Retryable } from '../../../../infra/errors.ts';
import type { BrokerRequests } from '../../../../infra/kafka/broker-requests.ts';
import type { KafkaClient } from '../../../../infra/kafka/client.ts';
import type { OutgoingRecord } from '../../../../infra/kafka/outgoing-record.ts';
import { createLog } from '../../../../infra/log.ts';
import { names } from '../../../../infra/topics.ts';
import { GrowthRefused, growPartitions } from '../../../../ingest/hot-ads/grow-partitions.ts';
import { type HotAdTerms, partitionsRecord, tickRecord } from '../../../../ingest/hot-ads/rule.ts';
import { RuleBook } from '../../../../ingest/hot-ads/rule-book.ts';
import { HotAdsLog, readOn } from '../../../support/hot-ads-log.ts';

const terms: HotAdTerms = { noticeMs: 30_000, brokerSkewMs: 10_000, keptMs: 1 };
const start = Date.parse('2026-03-01T12:00:20Z');
const ruleId = `01K${'0'.repeat(23)}`;

/** An answer that is final: nothing is tried again. */
const topicAuthorizationFailed = 29;

/** Topics, the log, and what is done to them in which order; `failAt`: the step that is not done. */
function setUp({ recorded = 4 as number | null, failAt = '', isSlow = false } = {}) {
  const topics = new Map([
    ['clicks', 4],
    ['aggregates', 4],
    ['quarantine', 4],
  ]);
  const log = new HotAdsLog();
  if (recorded !== null) log.append(partitionsRecord({ ruleId, from: 0, partitions: recorded }, terms), start);
  const world = { now: start, failAt, isSlow };
  const steps: string[] = [];
  const step = (what: string) => {
    if (world.failAt === what) throw new Error('connection closed');
    steps.push(what);
  };
  const admin = {
    connect: async () => {},
    disconnect: async () => {},
    async fetchTopicMetadata() {
      const led = (count: number) => Array.from({ length: count }, () => ({ leader: 1 }));
      return { topics: [...topics].map(([name, count]) => ({ name, partitions: led(count) })) };
    },
    async createPartitions({ topicPartitions: [asked] }: { topicPartitions: { topic: string; count: number }[] }) {
      step(`${asked!.topic} to ${asked!.count}`);
      topics.set(asked!.topic, asked!.count);
    },
  };
  const append = (record: OutgoingRecord) => {
    const isAnnouncement = record.headers?.['kind'] === 'partitions';
    if (isAnnouncement) step('announce');
    world.now += world.isSlow && isAnnouncement ? 120_000 : 1_000;
    log.append(record, world.now);
  };
  const requests: Pick<BrokerRequests, 'leaders' | 'newProducer' | 'produce'> = {
    leaders: async () => new Map([[0, 1]]),
    newProducer: async () => ({ producerId: '1', producerEpoch: 0 }),
    async produce(_node, _acks, request) {
      return (request()?.batches ?? []).map(({ topic, partition, records }) => {
        try {
          for (const record of records) append(record);
          return { topic, partition, errorCode: 0, appendedAt: -1 };
        } catch {
          return { topic, partition, errorCode: topicAuthorizationFailed, appendedAt: -1 };
        }
      });
    },
  };
  const brokerRequests = () => ({ ...requests, [Symbol.asyncDispose]: async () => {} });
  const kafka = { admin: () => admin, brokerRequests } as unknown as KafkaClient;
  const book = new RuleBook(terms);
  const record = { book, readToEnd: async () => void readOn(book, log) };
  const grow = (to: number) =>
    growPartitions(to, { kafka, names: names(''), terms, record, log: createLog('test', 'fatal') });
  const others = () => {
    const fresh = new RuleBook(terms);
    log.append(tickRecord(terms), world.now + 3_600_000);
    readOn(fresh, log);
    return fresh;
  };
  return { grow, steps, topics, book, others, world };
}

describe('growing the partitions', () => {
  it('grows outputs before inputs, and announces last, for a minute that all know of in time', async () => {
    const { grow, steps, others } = setUp();
    await grow(12);
    expect(steps).toEqual(['quarantine to 12', 'aggregates to 12', 'clicks to 12', 'announce']);
    const [, rule] = others().partitionRules;
    expect(rule).toMatchObject({ partitions: 12, from: Date.parse('2026-03-01T12:02:00Z') });
  });

  it('changes nothing when it is asked for what is recorded already', async () => {
    const { grow, steps } = setUp();
    await grow(12);
    await grow(12);
    expect(steps).toHaveLength(4);
  });

  it.each(['quarantine to 12', 'aggregates to 12', 'clicks to 12', 'announce'])(
    'leaves clicks where they were when it ends before "%s", and goes on when asked again',
    async failAt => {
      const { grow, steps, others, world } = setUp({ failAt });
      await expect(grow(12)).rejects.toBeInstanceOf(Retryable);
      expect(others().partitions).toBe(4);
      world.now += 3_600_000;
      world.failAt = '';
      await grow(12);
      expect([...steps].sort()).toEqual(['aggregates to 12', 'announce', 'clicks to 12', 'quarantine to 12']);
      expect(others().partitions).toBe(12);
    },
  );

  it('says so where the announcement arrived too late to take effect', async () => {
    const { grow, world } = setUp({ isSlow: true });
    await expect(grow(12)).rejects.toThrow(/too late to take effect/);
    world.isSlow = false;
    await grow(12);
  });

  it('refuses to make them fewer, and to grow from what nobody has recorded', async () => {
    const shrinking = setUp();
    await expect(shrinking.grow(3)).rejects.toThrow(/must be at least 4/);
    const unrecorded = setUp({ recorded: null });
    await expect(unrecorded.grow(12)).rejects.toBeInstanceOf(GrowthRefused);
    expect([...shrinking.steps, ...unrecorded.steps]).toEqual([]);
  });
});
