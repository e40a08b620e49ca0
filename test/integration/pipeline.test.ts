/** From a posted click to its count, through all processes, on a real broker and a real ClickHouse. */
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { jobTopics } from '../../query-api/log/node-positions.ts';
import { openRaw } from '../simulation/raw-transactions.ts';
import { clickStream } from '../support/click-stream.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

const minuteOf = (time: number) => time - (time % 60_000);

interface CountAnswer {
  readonly count: number;
  readonly duplicates: number;
  readonly late: number;
  readonly state: string;
}

const outOfOrdernessMs = 10_000;

let pipeline: TestPipeline;

beforeAll(async () => {
  const env = {
    OUT_OF_ORDERNESS_MS: String(outOfOrdernessMs),
    ALLOWED_LATENESS_MS: '25000',
    CONSERVATION_INTERVAL_MS: '5000',
  };
  pipeline = await startTestPipeline(env, { broker: { ownProcess: true } });
});
afterAll(() => pipeline?.[Symbol.asyncDispose]());

const foreignClient = () =>
  createKafka(
    loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers }),
    'foreign',
    createLog('test', 'error'),
  );
const countOf = (ad: string, from: number, to = from + 60_000) =>
  pipeline.get<CountAnswer>(`/v1/ads/${ad}/aggregated_count?from=${from}&to=${to}`);
const counted = (ad: string, from: number, count: number) =>
  eventually(`${count} clicks of ${ad}`, async () => {
    const answer = await countOf(ad, from);
    return answer.count === count && answer;
  });

describe('pipeline', () => {
  it('counts a posted click once, copies and all, within seconds', async () => {
    const at = Date.now();
    const click = { ad_id: 'ad-once', event_id: 'e-1', clicked_at: at, country: 'KR' };
    expect(await pipeline.post(click)).toEqual({
      status: 202,
      body: { accepted: 1, rejected: [], rejected_total: 0, made_event_ids: [], ignored_fields: [], warnings: [] },
    });
    expect((await pipeline.post([click, { ...click, event_id: 'e-2' }])).status).toBe(202);
    const answer = await counted('ad-once', minuteOf(at), 2);
    expect(answer).toMatchObject({ duplicates: 1, state: 'provisional' });
    const top = await pipeline.get<{ ads: unknown[] }>(
      `/v1/ads/popular_ads?count=1000&from=${minuteOf(at)}&to=${minuteOf(at) + 60_000}`,
    );
    expect(top.ads).toContainEqual({ rank: 1, ad_id: 'ad-once', count: 2, gross: 3, net: 2, invalid: 0 });
  });

  it('counts the clicks of every ad, though all of them give the same ids', async () => {
    const at = Date.now();
    const ads = Array.from({ length: 40 }, (_, i) => `ad-shared-${i}`);
    const ids = ['1', '2', '3', '4', '5'];
    const clicks = ads.flatMap(ad_id => ids.map(event_id => ({ ad_id, event_id, clicked_at: at })));
    expect(await pipeline.post(clicks)).toMatchObject({ status: 202, body: { accepted: 200 } });
    expect((await pipeline.post(clicks.slice(0, 7))).status).toBe(202);
    const copiesOf = [5, 2];
    for (const [i, ad] of ads.entries()) {
      const answer = await eventually(`${ad} counted`, async () => {
        const now = await countOf(ad, minuteOf(at));
        return now.count + now.duplicates === 5 + (copiesOf[i] ?? 0) && now;
      });
      expect([ad, answer.count, answer.duplicates]).toEqual([ad, 5, copiesOf[i] ?? 0]);
    }
    const trail = await pipeline.get<{ ads: { ad_id: string; copies: number }[] }>('/v1/clicks/1');
    expect(trail.ads.filter(({ ad_id }) => ad_id.startsWith('ad-shared')).map(ad => ad.ad_id)).toHaveLength(40);
  });

  it('takes gzipped NDJSON and judges each line alone', async () => {
    const at = Date.now();
    const lines = [
      { ad_id: 'ad-lines', clicked_at: at },
      { ad_id: 'no such id!', clicked_at: at },
      { ad_id: 'ad-lines', clicked_at: at + 3_600_000 },
      { ad_id: 'ad-lines', clicked_at: at },
    ];
    const response = await fetch(`${pipeline.ingest.url}/v1/clicks`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' },
      body: gzipSync(lines.map(line => JSON.stringify(line)).join('\n')),
    });
    const body = (await response.json()) as { accepted: number; rejected: { index: number }[] };
    expect([response.status, body.accepted, body.rejected.map(r => r.index)]).toEqual([202, 2, [1, 2]]);
    await counted('ad-lines', minuteOf(at), 2);
  });

  it('keeps what others wrote to the log: counted if it is a click, quarantined whole with the reason if not', async () => {
    await using producer = createProducer(foreignClient(), { acks: -1, timeoutMs: 5_000 });
    const at = Date.now();
    const values = [
      JSON.stringify({ clicked_at: at, ad_id: 'ad-foreign', event_id: 'f-1', campaign: { any: 1 } }),
      JSON.stringify({ ad_id: 'ad-foreign', clicked_at: new Date(at).toISOString(), event_id: 'f-2' }),
      'not json at all',
      JSON.stringify({ ad_id: 'ad-foreign', clicked_at: at + 3_600_000, event_id: 'f-3' }),
      JSON.stringify({ ad_id: 'ad-foreign', clicked_at: at - 3_600_000, event_id: 'f-4' }),
    ];
    await producer.send(
      'clicks',
      values.map(value => ({ partition: 2, value })),
    );
    await counted('ad-foreign', minuteOf(at), 2);
    await eventually('quarantine by reason', async () => {
      const { quarantine } = await pipeline.get<{ quarantine: Record<string, number> }>('/v1/status');
      return quarantine['malformed'] === 1 && quarantine['future'] === 1 && quarantine['too_late'] === 1;
    });
  });

  it('counts exactly while aggregator, sink and query API are killed and the broker is restarted, and balances', async () => {
    const stream = clickStream({ ads: 200, seed: 31 });
    const since = minuteOf(Date.now() - 60_000);
    const post = (clicks: ReturnType<typeof stream.take>) =>
      eventually('clicks accepted', async () => {
        const body = clicks.map(c => ({
          ad_id: c.adId,
          event_id: c.eventId,
          clicked_at: c.clickedAt,
          country: c.country,
        }));
        return (await pipeline.post(body).catch(() => undefined))?.status === 202;
      });
    let logs = '';
    const faults: Record<number, () => Promise<unknown>> = {
      40: () => pipeline.aggregator.kill().then(() => pipeline.restart('aggregator')),
      80: () => {
        logs += pipeline.queryApi.logs();
        return pipeline.queryApi.kill().then(() => pipeline.restart('queryApi'));
      },
      100: () => pipeline.sink.kill().then(() => pipeline.restart('sink')),
      120: () => pipeline.broker.kill().then(() => pipeline.broker.restart()),
    };
    for (let i = 0; i < 160; i++) {
      await faults[i]?.();
      await post(stream.take(50));
      await sleep(25);
    }
    await Promise.all([pipeline.aggregator, pipeline.sink, pipeline.queryApi].map(service => service.ready()));
    const truth = new Map<string, number>();
    for (const [key, count] of stream.truth) {
      const ad = key.split('|')[0] ?? '';
      truth.set(ad, (truth.get(ad) ?? 0) + count);
    }
    const expected = [...truth]
      .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
      .map(([ad_id, count], i) => ({ rank: i + 1, ad_id, count }));
    const to = minuteOf(Date.now()) + 60_000;
    const ours = (ads: readonly { ad_id: string; count: number }[]) =>
      ads.filter(({ ad_id }) => ad_id.startsWith('ad_')).map(({ ad_id, count }, i) => ({ rank: i + 1, ad_id, count }));
    const total = [...truth.values()].reduce((a, b) => a + b, 0);
    const answer = await eventually('all clicks counted', async () => {
      const { ads } = await pipeline.get<{ ads: { ad_id: string; count: number }[] }>(
        `/v1/ads/popular_ads?count=1000&from=${since}&to=${to}`,
      );
      const sum = ours(ads).reduce((a, { count }) => a + count, 0);
      return sum >= total && ads;
    });
    expect(ours(answer)).toEqual(expected);
    const { conservation } = await pipeline.get<{ conservation: Record<string, unknown> }>('/v1/status');
    expect(conservation).toMatchObject({ balanced: true });
    const restedAt = Date.now();
    const { rows } = await eventually('rows compared', async () => {
      const status = await pipeline.get<{ conservation: { rows: { checked_at: string; difference: number } | null } }>(
        '/v1/status',
      );
      return Date.parse(status.conservation.rows?.checked_at ?? '') > restedAt && status.conservation;
    });
    expect(rows).toMatchObject({ difference: 0, differences: [] });
    expect(logs + pipeline.queryApi.logs()).not.toContain('rows DIFFER from counters');
  });

  it('shows no lag anywhere once all is counted, not even where the log ends in an aborted transaction', async () => {
    await using raw = await openRaw(foreignClient(), 'foreign');
    const transaction = await raw.transaction();
    await transaction.send('quarantine', 'never', 3);
    await transaction.abort();
    const lags = await eventually('no lag', async () => {
      const text = await (await fetch(`${pipeline.queryApi.url}/metrics`)).text();
      const found = [...text.matchAll(/^adclicks_(lag_records|sink_lag_records)\{(.*)\} (.*)$/gm)];
      return found.length > 0 && found.every(([, , , value]) => value === '0') && found;
    });
    const topics = lags.map(([, name, labels]) => /topic="([\w-]+)"/.exec(labels ?? '')?.[1] ?? name);
    const each = ['aggregates', 'clicks', 'lag_records', 'quarantine'].flatMap(topic => [topic, topic, topic, topic]);
    expect(topics.sort()).toEqual([...each, ...jobTopics].sort());
  });

  it('turns a minute final without further clicks, counts late clicks until then, and none after', async () => {
    // The minute in which the watermark is now. One that was chosen earlier may be final by now on a busy machine.
    const from = minuteOf(Date.now() - outOfOrdernessMs);
    await pipeline.post({ ad_id: 'ad-late', event_id: 'l-1', clicked_at: from });
    await eventually('closed', async () => {
      const { watermark } = await pipeline.get<{ watermark: string | null }>('/v1/status');
      return watermark !== null && Date.parse(watermark) >= from + 60_000;
    });
    await pipeline.post({ ad_id: 'ad-late', event_id: 'l-2', clicked_at: from + 59_999 });
    expect(await counted('ad-late', from, 2)).toMatchObject({ late: 1, state: 'provisional' });
    const answer = await eventually('final', async () => {
      const now = await countOf('ad-late', from);
      return now.state === 'final' && now;
    });
    expect(answer.count).toBe(2);
    await pipeline.post({ ad_id: 'ad-late', event_id: 'l-3', clicked_at: from + 1 });
    await eventually('quarantined', async () => {
      const { quarantine } = await pipeline.get<{ quarantine: Record<string, number> }>('/v1/status');
      return quarantine['too_late'] === 2;
    });
    expect((await countOf('ad-late', from)).count).toBe(2);
  });
});
