import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { KafkaClient } from '../../../../infra/kafka/client.ts';
import { createLog } from '../../../../infra/log.ts';
import { names } from '../../../../infra/topics.ts';
import { differenceOf, surplusOf, type TopicCounts } from '../../../../ingest/hot-ads/partition-comparison.ts';
import { type PartitionWatch, watchPartitions } from '../../../../ingest/hot-ads/partition-watch.ts';
import { eventually } from '../../../support/wait.ts';

const countsOf = (clicks: number, aggregates = clicks, quarantine = clicks): TopicCounts =>
  new Map([
    ['clicks', clicks],
    ['aggregates', aggregates],
    ['quarantine', quarantine],
  ]);

describe('topics compared with what is recorded of their partitions', () => {
  it('agree where each has as many', () => {
    expect([differenceOf(countsOf(4), 4), surplusOf(countsOf(4), 4)]).toEqual([undefined, undefined]);
  });

  it.each([
    [4, 12, 12],
    [12, 4, 12],
    [12, 12, 4],
  ])('differ where one has fewer (clicks %i, aggregates %i, quarantine %i): which, and what to do', (...given) => {
    const said = differenceOf(countsOf(...given), 12);
    for (const [topic, count] of countsOf(...given)) expect(said).toContain(`${topic} has ${count}`);
    expect(said).toContain('12 are recorded in topic hot-ads: `adclicks partitions --to 12`');
  });

  it('do not stop anything where one has more, as half way through a growth', () => {
    for (const counts of [countsOf(4, 4, 12), countsOf(4, 12, 12), countsOf(16, 4, 4)]) {
      expect(differenceOf(counts, 4)).toBeUndefined();
      expect(surplusOf(counts, 4)).toMatch(/4 are recorded and used: `adclicks partitions --to 1[26]`/);
    }
  });

  it('must be equal where nothing is recorded: by which of them clicks were routed, a person knows', () => {
    expect(differenceOf(countsOf(4), undefined)).toBeUndefined();
    expect(surplusOf(countsOf(4), undefined)).toBeUndefined();
    expect(differenceOf(countsOf(16, 12), undefined)).toContain('clicks has 16, no number is recorded');
  });
});

describe('a process that watches them', () => {
  let watch: PartitionWatch | undefined;
  afterEach(async () => {
    await watch?.[Symbol.asyncDispose]();
  });
  const watching = (
    topics: Record<string, number>,
    recorded: { value: number | undefined; isRead?: boolean },
    intervalMs = 50,
  ) => {
    const asked = { times: 0 };
    const admin = {
      connect: async () => {},
      disconnect: async () => {},
      async fetchTopicMetadata() {
        asked.times++;
        const partitionsOf = (count: number) => Array.from({ length: count }, () => ({ leader: 1 }));
        return { topics: Object.entries(topics).map(([name, n]) => ({ name, partitions: partitionsOf(n) })) };
      },
    };
    const kafka = { admin: () => admin } as unknown as KafkaClient;
    const log = createLog('test', 'fatal');
    watch = watchPartitions({
      kafka,
      names: names(''),
      log,
      recorded: () => recorded.value,
      isRead: () => recorded.isRead ?? true,
      intervalMs,
    });
    return { watch, asked };
  };

  it('knows at once that a topic has fewer than are recorded', async () => {
    const { watch } = watching({ clicks: 4, aggregates: 12, quarantine: 12 }, { value: 12 });
    await eventually('asked', () => watch.counts !== undefined);
    expect(watch.difference).toContain('clicks has 4');
  });

  it('judges nothing before it has read what is recorded: topics may be half way through a growth', async () => {
    const recorded = { value: undefined as number | undefined, isRead: false };
    const { watch } = watching({ clicks: 4, aggregates: 12, quarantine: 12 }, recorded);
    await eventually('asked', () => watch.counts !== undefined);
    expect([watch.isJudged, watch.difference]).toEqual([false, undefined]);
    Object.assign(recorded, { value: 4, isRead: true });
    await eventually('judged', () => watch.isJudged);
    expect(watch.difference).toBeUndefined();
  });

  it('asks the brokers no more often while nobody reads what is recorded, and at once when somebody has', async () => {
    const topics = { clicks: 4, aggregates: 4, quarantine: 4 };
    const recorded = { value: undefined as number | undefined, isRead: false };
    const { watch, asked } = watching(topics, recorded, 3_600_000);
    await eventually('asked', () => watch.counts !== undefined);
    // More than twice the pause of one who waits for an answer.
    await sleep(1_200);
    expect(asked.times).toBe(1);
    Object.assign(recorded, { value: 4, isRead: true });
    watch.compare();
    await eventually('judged', () => watch.isJudged);
    expect(asked.times).toBe(2);
  });

  it('hears of it while it runs, and of its end', async () => {
    const topics = { clicks: 12, aggregates: 12, quarantine: 12 };
    const { watch } = watching(topics, { value: 12 });
    await eventually('asked', () => watch.counts !== undefined);
    expect(watch.difference).toBeUndefined();
    topics.aggregates = 4;
    await eventually('heard', () => watch.difference?.includes('aggregates has 4'));
    topics.aggregates = 12;
    await eventually('mended', () => watch.difference === undefined);
  });

  it('asks again, and refuses nothing meanwhile, when more is recorded than it has seen: a growth that is new to it', async () => {
    const topics = { clicks: 4, aggregates: 4, quarantine: 4 };
    const recorded = { value: 4 };
    const { watch, asked } = watching(topics, recorded);
    await eventually('asked', () => watch.counts !== undefined);
    const before = asked.times;
    Object.assign(topics, { clicks: 12, aggregates: 12, quarantine: 12 });
    recorded.value = 12;
    watch.compare();
    expect(watch.difference).toBeUndefined();
    await eventually('asked again', () => asked.times > before && watch.counts?.get('clicks') === 12);
    expect(watch.difference).toBeUndefined();
  });
});
