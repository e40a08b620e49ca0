/** The aggregator's processes on a real broker: what Kafka's own client reads of their output equals the truth. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AdMinuteRow, adMinuteRowOf, type Progress, type QuarantineRow } from '../../aggregator/ad-minute.ts';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { clickStream, recordsOf } from '../support/click-stream.ts';
import { click } from '../support/clicks.ts';
import { quietPort } from '../support/quiet-port.ts';
import { readCommitted } from '../support/read-committed.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const partitions = 4;
let broker: TestBroker;
let run = 0;

beforeAll(async () => {
  broker = await startTestBroker({}, { ownProcess: true });
});
afterAll(() => broker?.[Symbol.asyncDispose]());

/** A pipeline's topics of its own on the shared broker. */
async function openPipeline(env: Record<string, string> = {}) {
  const prefix = `t${++run}-`;
  const names = namesOf(prefix);
  const kafka = createKafka(
    loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers }),
    'test',
    createLog('test', 'error'),
  );
  await ensureTopics(kafka, names, partitions);
  const stack = new AsyncDisposableStack();
  const producer = stack.use(createProducer(kafka, { acks: -1, timeoutMs: 20_000 }));
  const admin = stack.use(await openAdmin(kafka));
  const start = async () => {
    const service = await startService('aggregator/main.ts', 'AGGREGATOR_PORT', {
      KAFKA_BROKERS: broker.brokers,
      TOPIC_PREFIX: prefix,
      COMMIT_INTERVAL_MS: '100',
      TICK_INTERVAL_MS: '1000',
      AGGREGATOR_SESSION_TIMEOUT_MS: '3000',
      ...env,
    });
    return stack.use(service);
  };
  const caughtUp = () =>
    eventually('all clicks counted', async () => {
      const ends = await admin.endOffsets(names.topic('clicks'));
      const commits = await Promise.all(
        [...ends.keys()].map(p => admin.committed(names.aggregatorGroup, names.topic('clicks'), p)),
      );
      return [...ends.values()].every((end, p) => end === 0 || (commits[p]?.offset ?? 0) >= end);
    });
  // As a client would: until it is acknowledged, with the same ids. What is in the log twice is a duplicate.
  const produce = (clicks: Parameters<typeof recordsOf>[0]) =>
    eventually('clicks accepted', () =>
      producer.send(names.topic('clicks'), recordsOf(clicks, partitions)).then(
        () => true,
        () => false,
      ),
    );
  return {
    names,
    producer,
    admin,
    start,
    caughtUp,
    produce,
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}
type Pipeline = Awaited<ReturnType<typeof openPipeline>>;

async function output(pipeline: Pipeline) {
  const lines = await readCommitted(broker.brokers, pipeline.names.topic('aggregates'));
  const rows = lines.filter(l => l.kind === 'ad-minute').map(l => adMinuteRowOf(JSON.parse(l.line)));
  const progress = lines.filter(l => l.kind === 'progress').map(l => JSON.parse(l.line) as Progress);
  return { rows, progress };
}

/** Of each cell the row of the highest version, over countries. */
function counts(rows: readonly AdMinuteRow[]): Map<string, number> {
  const latest = new Map<string, AdMinuteRow>();
  for (const row of rows) {
    const key = `${row.ad_id}|${row.minute}|${row.country}|${row.partition}`;
    if (row.version > (latest.get(key)?.version ?? -1)) latest.set(key, row);
  }
  const sums = new Map<string, number>();
  for (const row of latest.values())
    sums.set(`${row.ad_id}|${row.minute}`, (sums.get(`${row.ad_id}|${row.minute}`) ?? 0) + row.clicks);
  return sums;
}

/** Exactly once, seen in the output itself: no (cell, version) is written twice, and positions only grow. */
function expectWrittenOnce({ rows, progress }: Awaited<ReturnType<typeof output>>): void {
  const keys = rows.map(row => `${row.ad_id}|${row.minute}|${row.country}|${row.partition}|${row.version}`);
  expect(keys.length).toBe(new Set(keys).size);
  for (let p = 0; p < partitions; p++) {
    const own = progress.filter(row => row.partition === p);
    for (const [i, row] of own.entries()) {
      if (i > 0) expect(row.position).toBeGreaterThan(own[i - 1]!.position);
      if (i > 0) expect(row.watermark).toBeGreaterThanOrEqual(own[i - 1]!.watermark);
      expect(row.received).toBe(row.counted + row.duplicates + row.quarantined);
    }
  }
}

const sorted = (map: ReadonlyMap<string, number>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

/** About `seconds` of load with `disturb` in its midst. */
async function load(
  pipeline: Pipeline,
  stream: ReturnType<typeof clickStream>,
  seconds: number,
  disturb: () => Promise<void>,
) {
  let disturbing: Promise<void> | undefined;
  for (let i = 0; i < seconds * 20; i++) {
    if (i === seconds * 8) disturbing = disturb();
    await pipeline.produce(stream.take(100));
    await sleep(40);
  }
  await disturbing;
}

describe('aggregator on a real broker', () => {
  it('counts on at once after kill -9 where its successor takes the same port, long before its session expires', async () => {
    const port = String(await quietPort());
    await using pipeline = await openPipeline({
      AGGREGATOR_SESSION_TIMEOUT_MS: '300000',
      AGGREGATOR_PORT: port,
    });
    const first = await pipeline.start();
    const stream = clickStream({ seed: 12 });
    await pipeline.produce(stream.take(200));
    await pipeline.caughtUp();
    await first.kill();
    await pipeline.produce(stream.take(200));
    const second = await pipeline.start();
    await pipeline.caughtUp();
    expect(second.logs()).toContain('a former member with this host and port is removed from the group');
    expect(sorted(counts((await output(pipeline)).rows))).toEqual(sorted(stream.truth));
  });

  it('counts distinct clicks per ad and minute', async () => {
    await using pipeline = await openPipeline();
    await (await pipeline.start()).ready();
    const stream = clickStream({ seed: 11 });
    for (let i = 0; i < 20; i++) await pipeline.produce(stream.take(200));
    await pipeline.caughtUp();
    const written = await output(pipeline);
    expect(sorted(counts(written.rows))).toEqual(sorted(stream.truth));
    expectWrittenOnce(written);
  });

  it('counts exactly when it is killed in the middle of the load', async () => {
    await using pipeline = await openPipeline();
    let service: Service = await pipeline.start();
    await service.ready();
    const stream = clickStream({ seed: 12 });
    await load(pipeline, stream, 6, async () => {
      await service.kill();
      service = await pipeline.start();
    });
    await service.ready();
    await pipeline.caughtUp();
    const written = await output(pipeline);
    expect(sorted(counts(written.rows))).toEqual(sorted(stream.truth));
    expectWrittenOnce(written);
  });

  it('counts exactly when the broker is killed and restarted in the middle of the load', async () => {
    await using pipeline = await openPipeline();
    const service = await pipeline.start();
    await service.ready();
    const stream = clickStream({ seed: 13 });
    await load(pipeline, stream, 6, async () => {
      await broker.kill();
      await sleep(1_000);
      await broker.restart();
    });
    await service.ready();
    await pipeline.caughtUp();
    const written = await output(pipeline);
    expect(sorted(counts(written.rows))).toEqual(sorted(stream.truth));
    expectWrittenOnce(written);
  });

  it('shares partitions between two processes, and moves them when one is killed', async () => {
    await using pipeline = await openPipeline();
    const [first, second] = [await pipeline.start(), await pipeline.start()];
    await Promise.all([first.ready(), second.ready()]);
    const stream = clickStream({ seed: 14 });
    await load(pipeline, stream, 8, () => second.kill());
    await pipeline.caughtUp();
    const written = await output(pipeline);
    expect(sorted(counts(written.rows))).toEqual(sorted(stream.truth));
    expectWrittenOnce(written);
    expect(first.logs()).toMatch(/"assigned":\{"t\d+-clicks":\[\d,\d\]\}/);
    expect(first.logs()).toMatch(/"assigned":\{"t\d+-clicks":\[0,1,2,3\]\}/);
  });

  it('writes nothing as a zombie: paused past its session, it leaves the partitions to their new owner', async () => {
    await using pipeline = await openPipeline();
    const zombie = await pipeline.start();
    await zombie.ready();
    const stream = clickStream({ seed: 15 });
    await load(pipeline, stream, 8, async () => {
      zombie.signal('SIGSTOP');
      const heir = await pipeline.start();
      await heir.ready();
      zombie.signal('SIGCONT');
    });
    await pipeline.caughtUp();
    const written = await output(pipeline);
    expect(sorted(counts(written.rows))).toEqual(sorted(stream.truth));
    expectWrittenOnce(written);
  });

  it('counts exactly at least once too, by the version of rows, when it is killed', async () => {
    await using pipeline = await openPipeline({ AGGREGATOR_GUARANTEE: 'at_least_once' });
    let service = await pipeline.start();
    await service.ready();
    const stream = clickStream({ seed: 16 });
    await load(pipeline, stream, 4, async () => {
      await service.kill();
      service = await pipeline.start();
    });
    await pipeline.caughtUp();
    expect(sorted(counts((await output(pipeline)).rows))).toEqual(sorted(stream.truth));
  });

  it('makes the minutes of an idle partition final by ticks, also where there never was a click', async () => {
    await using pipeline = await openPipeline({ OUT_OF_ORDERNESS_MS: '100', ALLOWED_LATENESS_MS: '0' });
    await (await pipeline.start()).ready();
    await pipeline.produce([click({ clickedAt: Date.now() })]);
    const at = Date.now();
    await eventually('every partition past the click', async () => {
      const { progress } = await output(pipeline);
      return new Set(progress.filter(row => row.watermark > at).map(row => row.partition)).size === partitions;
    });
  });

  it('counts what others write, and quarantines whole what is no click', async () => {
    await using pipeline = await openPipeline();
    await (await pipeline.start()).ready();
    const now = Date.now();
    const topic = pipeline.names.topic('clicks');
    const good = { country: 'FR', clicked_at: now, ad_id: 'foreign', event_id: 'x1' };
    const values = [
      JSON.stringify(good),
      JSON.stringify({ ...good, event_id: 'x2' }),
      'no json',
      JSON.stringify({ ad_id: 'foreign' }),
      JSON.stringify({ ...good, event_id: 'x3', clicked_at: now + 3_600_000 }),
    ];
    await pipeline.producer.send(
      topic,
      values.map(value => ({ partition: 1, value })),
    );
    await pipeline.caughtUp();
    expect([...counts((await output(pipeline)).rows).values()]).toEqual([2]);
    const quarantined = await readCommitted(broker.brokers, pipeline.names.topic('quarantine'));
    expect(quarantined.map(l => JSON.parse(l.line) as QuarantineRow).map(q => [q.offset, q.reason, q.raw])).toEqual([
      [2, 'malformed', values[2]],
      [3, 'malformed', values[3]],
      [4, 'future', values[4]],
    ]);
  });

  it('halts a partition rather than guess when retention has removed unread clicks', async () => {
    await using pipeline = await openPipeline();
    const service = await pipeline.start();
    await service.ready();
    const stream = clickStream({ seed: 17 });
    await pipeline.produce(stream.take(500));
    await pipeline.caughtUp();
    await service.stop();
    for (let i = 0; i < 3; i++) await pipeline.produce(stream.take(500));
    const ends = await pipeline.admin.endOffsets(pipeline.names.topic('clicks'));
    await pipeline.admin.deleteBefore(pipeline.names.topic('clicks'), ends);
    const next = await pipeline.start();
    await eventually('halted', () => next.logs().includes('task halted'));
    const answer = await fetch(`${next.url}/readyz`);
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain('retention has removed unread clicks');
  });
});
