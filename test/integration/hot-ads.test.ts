/**
 * One ad with most of the clicks of many clients, another that one client alone would have split, two ingest processes,
 * and the switch from one partition to all, on a real broker.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { partitionOf, splitPartitionOf } from '../../ingest/click.ts';
import { partitions, startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const minuteOf = (time: number) => time - (time % minuteMs);
const hot = 'ad-hot';
/** Posted by one client, and more of it than of the hot one. */
const stranger = 'ad-stranger';
const noticeMs = 30_000;

interface Posted {
  readonly ad_id: string;
  readonly event_id: string;
  readonly clicked_at: number;
}

interface HotAd {
  readonly ad_id: string;
  readonly from: string;
  readonly until: string;
  readonly partitions: number;
}

let pipeline: TestPipeline;
let second: Service;
/** Every click that was accepted, and how many copies of it. */
const ledger = new Map<string, { readonly click: Posted; copies: number }>();
let serial = 0;

beforeAll(async () => {
  const env = {
    OUT_OF_ORDERNESS_MS: '5000',
    ALLOWED_LATENESS_MS: '20000',
    CONSERVATION_INTERVAL_MS: '10000',
    // Clicks come in for minutes, and nothing here asks how soon they are seen.
    COMMIT_INTERVAL_MS: '1000',
    SINK_RAW_INTERVAL_MS: '2000',
    TICK_INTERVAL_MS: '2000',
    HOT_AD_NOTICE_MS: String(noticeMs),
    HOT_AD_SHARE: '0.3',
    HOT_AD_CLICKS_PER_SECOND: '3',
    HOT_AD_MINUTES: '1',
    HOT_AD_SPLIT_MINUTES: '4',
    INGEST_TRUST_PROXY: '127.0.0.1',
  };
  pipeline = await startTestPipeline(env);
  second = await startService('ingest/main.ts', 'INGEST_PORT', { ...env, KAFKA_BROKERS: pipeline.broker.brokers });
  await second.ready();
});
afterAll(async () => {
  await second?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
});

const statusOf = () => pipeline.get<{ hot_ads: HotAd[] | null; conservation: { rows: unknown } }>('/v1/status');
const post = (service: Service, clicks: readonly Posted[], client = `10.0.0.${serial % 100}`) =>
  fetch(`${service.url}/v1/clicks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-forwarded-for': client },
    body: JSON.stringify(clicks),
  });

/** As a client does: again until it is accepted. What was not accepted may be in the log all the same, as a copy. */
async function accept(service: Service, clicks: readonly Posted[]): Promise<void> {
  let answer = '';
  await eventually(
    () => `clicks accepted by ${service.url}; the last answer is ${answer}`,
    async () => {
      const response = await post(service, clicks);
      answer = `${response.status} ${await response.text()}`;
      return response.status === 202;
    },
  );
  for (const click of clicks) {
    const known = ledger.get(click.event_id);
    if (known) known.copies++;
    else ledger.set(click.event_id, { click, copies: 1 });
  }
}

/** Two clicks of the hot ad for one of others, and some of what was posted before, by way of both processes. */
async function traffic(): Promise<void> {
  const services = [pipeline.ingest, second];
  for (const [i, service] of services.entries()) {
    const clicks = Array.from({ length: 12 }, (_, n): Posted => {
      const ad_id = n % 3 === 0 ? `ad-${n}` : hot;
      return { ad_id, event_id: `event-${++serial}`, clicked_at: Date.now() - Math.floor(Math.random() * 3_000) };
    });
    await accept(service, clicks);
    const old = [...ledger.values()].filter(({ click }) => click.clicked_at > Date.now() - 12_000);
    const copies = Array.from({ length: 6 }, () => old[Math.floor(Math.random() * old.length)]!.click);
    await accept(services[1 - i]!, [...new Set(copies)]);
    const theirs = Array.from({ length: 12 }, () => ({
      ...clicks[0]!,
      ad_id: stranger,
      event_id: `theirs-${++serial}`,
    }));
    await eventually('accepted', async () => (await post(service, theirs, '192.0.2.1')).status === 202);
  }
  await sleep(750);
}

describe('a hot ad', () => {
  let rule: HotAd;
  let from: number;

  it('is found by what clicks come in, announced, and split from a minute to come', async () => {
    const announced = await eventually('a hot ad', async () => {
      await traffic();
      return (await statusOf()).hot_ads?.find(({ ad_id }) => ad_id === hot);
    });
    rule = announced;
    from = Date.parse(rule.from);
    expect(rule.partitions).toBe(partitions);
    expect((await statusOf()).hot_ads?.map(({ ad_id }) => ad_id)).toEqual([hot]);
    expect(from % minuteMs).toBe(0);
    expect(from).toBeGreaterThan(Date.now() + noticeMs - 15_000);
  });

  it('is counted exactly through the switch: copies meet their first, by whichever process they come', async () => {
    const end = from + 25_000;
    while (Date.now() < end) await traffic();
    const minutes = Map.groupBy([...ledger.values()], ({ click }) => minuteOf(click.clicked_at));
    expect(minutes.size).toBeGreaterThan(1);
    const first = Math.min(...minutes.keys());
    const last = Math.max(...minutes.keys()) + minuteMs;
    for (const [minute, clicks] of minutes) {
      const ours = clicks.filter(({ click }) => click.ad_id === hot).length;
      const answer = await eventually(`${ours} clicks in ${new Date(minute).toISOString()}, final`, async () => {
        const url = `/v1/ads/${hot}/aggregated_count?from=${minute}&to=${minute + minuteMs}`;
        const now = await pipeline.get<{ count: number; state: string }>(url);
        return now.state !== 'provisional' && now;
      });
      expect(answer, new Date(minute).toISOString()).toMatchObject({ count: ours, state: 'final' });
    }
    // A replay counts anew from raw clicks, and knows nothing of rules.
    const asked = await fetch(`${pipeline.queryApi.url}/v1/replays`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ from: new Date(first).toISOString(), to: new Date(last).toISOString(), apply: false }),
    });
    const { id } = (await asked.json()) as { id: string };
    const job = await eventually('replay done', async () => {
      const now = await pipeline.get<{ state: string }>(`/v1/replays/${id}`);
      return (now.state === 'done' || now.state === 'failed') && now;
    });
    expect(job).toMatchObject({ state: 'done', cells_changed: 0 });
  });

  it('lies in its home partition before and in all of them after, and the trail of a click says where', async () => {
    const placeOf = async ({ event_id }: Posted) => {
      const { copies } = await pipeline.get<{ copies: { partition: number; outcome: string }[] }>(
        `/v1/clicks/${event_id}`,
      );
      expect(copies.filter(({ outcome }) => outcome === 'counted')).toHaveLength(1);
      return new Set(copies.map(({ partition }) => partition));
    };
    const clicks = [...ledger.values()].map(({ click }) => click).filter(({ ad_id }) => ad_id === hot);
    const before = clicks.filter(({ clicked_at }) => clicked_at < from).slice(-10);
    const after = clicks.filter(({ clicked_at }) => clicked_at >= from).slice(0, 20);
    expect(before).toHaveLength(10);
    expect(after).toHaveLength(20);
    for (const click of before) expect(await placeOf(click)).toEqual(new Set([partitionOf(hot, partitions)]));
    const places = new Set<number>();
    for (const click of after) {
      const place = splitPartitionOf(click.event_id, partitions);
      expect(await placeOf(click)).toEqual(new Set([place]));
      places.add(place);
    }
    expect(places.size).toBe(partitions);
    // And so it is in the log: each partition has counted clicks of the split ad's minute.
    const status = await pipeline.get<{ partitions: { counted: number }[] }>('/v1/status');
    expect(status.partitions.every(({ counted }) => counted > 0)).toBe(true);
  });

  it('keeps the rows in balance with the counters of each partition', async () => {
    const at = Date.now();
    const { rows } = await eventually('rows compared', async () => {
      const { conservation } = await pipeline.get<{
        conservation: { rows: { checked_at: string | null; difference: number } | null };
      }>('/v1/status');
      return Date.parse(conservation.rows?.checked_at ?? '') > at && conservation;
    });
    expect(rows).toMatchObject({ difference: 0, differences: [] });
  });
});

describe('ingest', () => {
  it('goes on by what it knows while the brokers are away, as long as that suffices, and by all rules afterwards', async () => {
    await pipeline.broker.stop();
    const click = () => ({ ad_id: hot, event_id: `away-${++serial}`, clicked_at: Date.now() });
    await eventually('the rules are not known any more', async () => {
      const response = await post(second, [{ ...click(), clicked_at: Date.now() + 4 * minuteMs }]);
      return response.status === 503 && (await fetch(`${second.url}/readyz`)).status === 503;
    });
    await pipeline.broker.restart();
    await second.ready();
    const accepted = click();
    await accept(second, [accepted]);
  });

  it('stands aside, without harm to the others, if its notice is another than theirs', async () => {
    await using third = await startService('ingest/main.ts', 'INGEST_PORT', {
      KAFKA_BROKERS: pipeline.broker.brokers,
      HOT_AD_NOTICE_MS: '60000',
    });
    await eventually('it says so', () => third.logs().includes('must be HOT_AD_NOTICE_MS=60000 in all processes'));
    // Longer than between two ticks: it writes none.
    await sleep(7_000);
    await second.ready();
    await accept(second, [{ ad_id: hot, event_id: `third-${++serial}`, clicked_at: Date.now() }]);
    await expect(fetch(third.url)).rejects.toThrow();
  });

  it('takes no click any more when the rules cannot be read, and says why', async () => {
    const kafka = createKafka(
      loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers }),
      'foreign',
      createLog('test', 'error'),
    );
    await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
    await producer.send('hot-ads', [{ partition: 0, key: 'x', value: 'split everything!', headers: { kind: 'rule' } }]);
    for (const service of [pipeline.ingest, second]) {
      const refused = await eventually('a refusal', async () => {
        const response = await post(service, [{ ad_id: 'ad-1', event_id: `x-${++serial}`, clicked_at: Date.now() }]);
        return response.status === 503 && response;
      });
      expect(refused.headers.get('retry-after')).toBe('1');
      expect(await refused.json()).toMatchObject({
        detail: expect.stringMatching(/topic hot-ads, offset \d+: header/),
      });
      expect((await fetch(`${service.url}/readyz`)).status).toBe(503);
    }
    expect((await statusOf()).hot_ads).toBeNull();
  });
});
