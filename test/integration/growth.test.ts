/** From 4 to 12 partitions under load, with two ingest processes, on a real broker: before it, one topic grown by hand. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { openTopicPartitions } from '../../infra/kafka/topic-partitions.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { partitionOf } from '../../ingest/click.ts';
import { adclicks } from '../support/adclicks.ts';
import { partitions as before, startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const minuteOf = (time: number) => time - (time % minuteMs);
const after = 12;
const ads = Array.from({ length: 60 }, (_, i) => `ad-${i}`);

interface Posted {
  readonly ad_id: string;
  readonly event_id: string;
  readonly clicked_at: number;
}

interface Partitions {
  readonly now: number | null;
  readonly recorded: readonly { readonly from: string | null; readonly partitions: number }[];
  readonly topics: readonly { readonly topic: string; readonly partitions: number }[];
  readonly difference: string | null;
}

interface Status {
  readonly watermark: string | null;
  readonly partitions: readonly { readonly partition: number; readonly counted: number }[];
  readonly conservation: {
    readonly balanced: boolean;
    readonly rows: { readonly checked_at: string | null; readonly difference: number } | null;
  };
}

let pipeline: TestPipeline;
let second: Service;
/** Every click that was accepted, once. */
const ledger = new Map<string, Posted>();
let serial = 0;
let env: Record<string, string>;

beforeAll(async () => {
  const given = {
    OUT_OF_ORDERNESS_MS: '5000',
    ALLOWED_LATENESS_MS: '15000',
    CONSERVATION_INTERVAL_MS: '10000',
    // Clicks come in for minutes, and nothing here asks how soon they are seen.
    COMMIT_INTERVAL_MS: '1000',
    SINK_RAW_INTERVAL_MS: '2000',
    TICK_INTERVAL_MS: '2000',
    HOT_AD_NOTICE_MS: '30000',
    HOT_AD_SPLIT: 'false',
  };
  pipeline = await startTestPipeline(given);
  env = { ...given, KAFKA_BROKERS: pipeline.broker.brokers };
  second = await startService('ingest/main.ts', 'INGEST_PORT', env);
  await second.ready();
});
afterAll(async () => {
  await second?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
  console.log(`${ledger.size} clicks, each posted to both ingest processes`);
});

const partitionsNow = () => pipeline.get<Partitions>('/v1/partitions');
const statusNow = () => pipeline.get<Status>('/v1/status');

/** As a client does: again until it is accepted. */
async function accept(service: Service, clicks: readonly Posted[]): Promise<void> {
  await eventually('clicks accepted', async () => {
    const response = await fetch(`${service.url}/v1/clicks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(clicks),
    });
    return response.status === 202;
  });
  for (const click of clicks) ledger.set(click.event_id, click);
}

function fresh(clickedAt = Date.now()): Posted {
  return { ad_id: ads[serial % ads.length]!, event_id: `event-${++serial}`, clicked_at: clickedAt };
}

/** Every click by way of both processes, first by one, then by the other; and some once more, later. */
async function traffic(): Promise<void> {
  const clicks = Array.from({ length: 20 }, () => fresh(Date.now() - Math.floor(Math.random() * 3_000)));
  const [one, other] = serial % 40 === 0 ? [pipeline.ingest, second] : [second, pipeline.ingest];
  await accept(one, clicks);
  await accept(other, clicks);
  const old = [...ledger.values()].filter(({ clicked_at }) => clicked_at > Date.now() - 15_000);
  await accept(one, [...new Set(Array.from({ length: 6 }, () => old[Math.floor(Math.random() * old.length)]!))]);
  await sleep(500);
}

describe('partitions that become more', () => {
  let from: number;

  it('are recorded by the first ingest process, as they are', async () => {
    expect(await partitionsNow()).toEqual({
      now: before,
      recorded: [{ from: null, partitions: before }],
      topics: ['quarantine', 'aggregates', 'clicks'].map(topic => ({ topic, partitions: before })),
      difference: null,
    });
  });

  it('change nothing where somebody gives a topic more with a tool of Kafka: all go on by what is recorded', async () => {
    const kafka = createKafka(loadConfig(KafkaConfig, env), 'tool', createLog('test', 'error'));
    await using topics = openTopicPartitions(kafka, ['clicks']);
    await topics.grow('clicks', 7);
    // Its task must not write where nothing is: kafkajs would pass over the rows, and commit the offset.
    await eventually('the aggregator has heard', () =>
      pipeline.aggregator.logs().includes('there is no partition 6 to write to'),
    );
    await pipeline.aggregator.ready();
    await second.stop();
    second = await startService('ingest/main.ts', 'INGEST_PORT', env);
    await second.ready();
    for (let turn = 0; turn < 8; turn++) await traffic();
    const told = await partitionsNow();
    expect([told.now, told.difference]).toEqual([before, expect.stringContaining('adclicks partitions --to 7')]);
    await eventually('it is said in the log', () =>
      second.logs().includes('clicks has 7, but only 4 are recorded and used'),
    );
    const { stdout, code } = await adclicks({}, 'partitions', '--url', pipeline.queryApi.url);
    expect([code, stdout]).toEqual([3, expect.stringContaining('adclicks partitions --to 7')]);
    const status = await eventually('counted', async () => {
      const now = await statusNow();
      return now.partitions.reduce((sum, { counted }) => sum + counted, 0) === ledger.size && now;
    });
    // Of the three that have come, none holds a click, and they keep nothing from becoming final.
    expect(status.partitions.filter(({ partition }) => partition >= before).map(({ counted }) => counted)).toEqual([
      0, 0, 0,
    ]);
    expect(status.watermark).not.toBeNull();
  });

  it('are used from an announced minute on, after one command, while clicks come in', async () => {
    let isGrowing = true;
    const load = (async () => {
      while (isGrowing) await traffic();
    })();
    /** Of all processes, and of the watermark, all the time. */
    const seen = { ready: 0, notReady: [] as string[], watermarks: [] as (string | null)[] };
    const sampling = (async () => {
      while (isGrowing) {
        for (const { url } of [pipeline.ingest, second, pipeline.aggregator, pipeline.sink, pipeline.queryApi]) {
          const response = await fetch(`${url}/readyz`);
          if (response.ok) seen.ready++;
          else seen.notReady.push(await response.text());
        }
        seen.watermarks.push((await statusNow()).watermark);
        await sleep(1_000);
      }
    })();
    try {
      const { stdout, code } = await adclicks(
        {},
        'partitions',
        '--to',
        String(after),
        '--url',
        pipeline.queryApi.url,
        '--json',
      );
      expect(code).toBe(0);
      const grown = JSON.parse(stdout) as Partitions;
      expect(grown).toMatchObject({ now: before, difference: null });
      expect(grown.recorded.map(({ partitions }) => partitions)).toEqual([before, after]);
      from = Date.parse(grown.recorded[1]!.from ?? '');
      expect(from).toBeGreaterThan(Date.now() + 20_000);
      // Asked again: the same, and no second announcement.
      const again = await adclicks({}, 'partitions', '--to', String(after), '--url', pipeline.queryApi.url, '--json');
      expect(JSON.parse(again.stdout).recorded).toEqual(grown.recorded);
      const shrink = await adclicks({}, 'partitions', '--to', '8', '--url', pipeline.queryApi.url);
      expect([shrink.code, shrink.stderr]).toEqual([1, expect.stringContaining('must be at least 12')]);
      await sleep(Math.max(0, from + 12_000 - Date.now()));
    } finally {
      isGrowing = false;
      await Promise.all([load, sampling]);
    }
    // While partitions are shared out anew a process that has none for a moment may say so.
    // And so may one to which a broker has not answered in time: that is the machine, and not the partitions.
    const passing = /no partitions assigned|restoring|starting|kafka: no answer within/;
    const others = seen.notReady.filter(text => !passing.test(text));
    expect([others, seen.ready > 50]).toEqual([[], true]);
    const known = seen.watermarks.filter(watermark => watermark !== null);
    expect(known).toEqual(known.toSorted());
    expect([seen.watermarks.at(-1), known.length > seen.watermarks.length / 2]).toEqual([expect.any(String), true]);
    // Clicks of minutes before, for the first time and again, when the new number has long been in force.
    const late = Array.from({ length: 20 }, () => fresh(from - 1 - Math.floor(Math.random() * 1_000)));
    await accept(pipeline.ingest, late);
    await accept(second, late);
    const longAgo = [...ledger.values()].filter(({ clicked_at }) => clicked_at < from).slice(0, 100);
    await accept(second, longAgo);
    expect((await partitionsNow()).now).toBe(after);

    const minutes = Map.groupBy(ledger.values(), ({ clicked_at }) => minuteOf(clicked_at));
    for (const [minute, clicks] of minutes) {
      const range = `from=${minute}&to=${minute + minuteMs}`;
      const found = await eventually(`${new Date(minute).toISOString()} final`, async () => {
        const top = await pipeline.get<{ state: string; ads: { ad_id: string; count: number }[] }>(
          `/v1/ads/popular_ads?count=1000&${range}`,
        );
        return top.state !== 'provisional' && top.ads.reduce((sum, ad) => sum + ad.count, 0) >= clicks.length && top;
      });
      const counts = Object.fromEntries(found.ads.map(({ ad_id, count }) => [ad_id, count]));
      const expected = Object.fromEntries(
        [...Map.groupBy(clicks, ({ ad_id }) => ad_id)].map(([ad, of]) => [ad, of.length]),
      );
      expect(counts, new Date(minute).toISOString()).toEqual(expected);
    }
  });

  it('hold the clicks of a minute where its number says, and the trail of a click knows it', async () => {
    const placesOf = async ({ event_id }: Posted) => {
      const { copies } = await pipeline.get<{ copies: { partition: number }[] }>(`/v1/clicks/${event_id}`);
      return [...new Set(copies.map(({ partition }) => partition))];
    };
    const clicks = [...ledger.values()].filter(({ ad_id }) => partitionOf(ad_id, before) !== partitionOf(ad_id, after));
    for (const click of clicks.filter(({ clicked_at }) => clicked_at < from).slice(-10))
      expect(await placesOf(click)).toEqual([partitionOf(click.ad_id, before)]);
    for (const click of clicks.filter(({ clicked_at }) => clicked_at >= from).slice(0, 10))
      expect(await placesOf(click)).toEqual([partitionOf(click.ad_id, after)]);
    const status = await statusNow();
    expect(status.partitions.map(({ counted }) => counted > 0)).toEqual(Array.from({ length: after }, () => true));
  });

  it('are left as they are by a start, which creates what is missing, and refuses to be told of more', async () => {
    const kafka = createKafka(loadConfig(KafkaConfig, env), 'start', createLog('test', 'error'));
    await ensureTopics(kafka, names(''), before);
    expect((await partitionsNow()).topics.map(({ partitions }) => partitions)).toEqual([after, after, after]);
    await expect(ensureTopics(kafka, names(''), 24)).rejects.toThrow(/PARTITIONS=24: topic clicks has 12/);
  });

  it('balance, in the counters and as rows, and every process is ready', async () => {
    const at = Date.now();
    const { conservation } = await eventually('rows compared', async () => {
      const now = await statusNow();
      return Date.parse(now.conservation.rows?.checked_at ?? '') > at && now;
    });
    expect(conservation).toMatchObject({ balanced: true, rows: { difference: 0 } });
    for (const service of [pipeline.ingest, second, pipeline.aggregator, pipeline.sink, pipeline.queryApi])
      await service.ready();
  });

  it('are refused by a process that finds fewer than are recorded', async () => {
    const kafka = createKafka(loadConfig(KafkaConfig, env), 'tool', createLog('test', 'error'));
    const admin = kafka.admin();
    await admin.connect();
    await admin.deleteTopics({ topics: ['quarantine'] });
    // The outcome is asked for, not who has made it: the client's own answer is an error where the broker has made the
    // topic and does not name it yet, and from then on "exists".
    await eventually('made anew', async () => {
      await admin.createTopics({ topics: [{ topic: 'quarantine', numPartitions: 4 }] }).catch(() => undefined);
      const found = await admin.fetchTopicMetadata({ topics: ['quarantine'] }).catch(() => undefined);
      return found?.topics[0]?.partitions.length === 4;
    });
    await admin.disconnect();
    for (const service of [pipeline.ingest, second, pipeline.aggregator, pipeline.sink, pipeline.queryApi]) {
      const answer = await eventually('not ready', async () => {
        const response = await fetch(`${service.url}/readyz`);
        return response.status === 503 && (await response.text());
      });
      expect(answer).toMatch(/quarantine has 4, aggregates has 12, clicks has 12, but 12 are recorded/);
    }
    const refused = await fetch(`${second.url}/v1/clicks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([fresh()]),
    });
    expect(refused.status).toBe(503);
    const { code } = await adclicks({}, 'partitions', '--to', String(after), '--url', pipeline.queryApi.url);
    expect(code).toBe(0);
    for (const service of [pipeline.ingest, second]) await service.ready();
    await accept(second, [fresh()]);
  });
});
