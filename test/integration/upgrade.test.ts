/**
 * Two releases side by side, on a real broker and a real ClickHouse: the one before and this one, upgraded and set back
 * in both orders under load; and this one beside a later one that writes what this one cannot read.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { release } from '../../infra/release.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { formatLine } from '../../ingest/click.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { type ClickStream, clickStream } from '../support/click-stream.ts';
import { startTestClickHouse, type TestClickHouse } from '../support/clickhouse.ts';
import { click } from '../support/clicks.ts';
import { openPreviousRelease, previousRelease, type Release } from '../support/previous-release.ts';
import { quietPort } from '../support/quiet-port.ts';
import { scrape } from '../support/scrape.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
const partitions = 4;
let broker: TestBroker;
let previous: Release;

beforeAll(async () => {
  previous = openPreviousRelease();
  broker = await startTestBroker();
});
afterAll(async () => {
  await broker?.[Symbol.asyncDispose]();
  previous?.[Symbol.dispose]();
});

type Version = 'before' | 'this' | 'later';

const programs = {
  sink: ['aggregator/sink/main.ts', 'SINK_PORT'],
  queryApi: ['query-api/main.ts', 'QUERY_API_PORT'],
  jobs: ['query-api/jobs/main.ts', 'JOBS_PORT'],
  aggregator: ['aggregator/main.ts', 'AGGREGATOR_PORT'],
  ingest: ['ingest/main.ts', 'INGEST_PORT'],
} as const;

/** Where the release before has a program elsewhere. */
const before: Partial<Record<keyof typeof programs, string>> = { sink: 'aggregator/sink-main.ts' };

/** Topics and a store of their own on the shared broker, and processes of either release on them. */
async function openPipeline(prefix: string) {
  const stack = new AsyncDisposableStack();
  const clickhouse: TestClickHouse = stack.use(await startTestClickHouse());
  const env = {
    KAFKA_BROKERS: broker.brokers,
    TOPIC_PREFIX: prefix,
    AGGREGATOR_SESSION_TIMEOUT_MS: '3000',
    SINK_SESSION_TIMEOUT_MS: '6000',
    TICK_INTERVAL_MS: '1000',
    COMMIT_INTERVAL_MS: '200',
    SINK_RAW_INTERVAL_MS: '200',
    CONSERVATION_INTERVAL_MS: '3000',
    ...clickhouse.env,
  };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'test', createLog('test', 'error'));
  await ensureTopics(kafka, namesOf(prefix), partitions);
  const started: { readonly title: string; readonly service: Service }[] = [];
  const versions = {
    before: { directory: previous.directory, options: {} },
    this: { directory: root, options: {} },
    later: { directory: root, options: { NODE_OPTIONS: `--import=${join(root, 'test/support/newer-release.ts')}` } },
  };
  return {
    kafka,
    started,
    /** Ready, where nothing else is expected. */
    async start(program: keyof typeof programs, version: Version, isReady = true): Promise<Service> {
      const [latest, portKey] = programs[program];
      const main = version === 'before' ? (before[program] ?? latest) : latest;
      const { directory, options } = versions[version];
      const port = String(await quietPort());
      const service = stack.use(
        await startService(join(directory, main), portKey, { ...env, ...options, [portKey]: port }),
      );
      started.push({ title: `${program} of the release ${version}`, service });
      if (isReady) await service.ready();
      return service;
    },
    /** As an operator does before the processes of a release start: only ever forwards. */
    async setUp(version: Version): Promise<void> {
      const { directory } = versions[version];
      await promisify(execFile)(process.execPath, [join(directory, 'infra/setup-main.ts')], {
        env: { PATH: process.env['PATH'], ...env, PARTITIONS: String(partitions) },
      });
    },
    /** For the test itself. */
    openStore: () => openClickHouse(loadConfig(ClickHouseConfig, env), { readers: 1 }),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

interface Status {
  readonly partitions: readonly { readonly partition: number; readonly position: number; readonly counted: number }[];
  readonly conservation: {
    readonly counted: number;
    readonly duplicates: number;
    readonly balanced: boolean;
    readonly rows: { readonly checked_at: string; readonly difference: number } | null;
  };
}

async function statusOf(queryApi: Service): Promise<Status | undefined> {
  const response = await fetch(`${queryApi.url}/v1/status`).catch(() => undefined);
  return response?.ok ? ((await response.json()) as Status) : undefined;
}

/** No two answers, one asked for after the other, may tell of less than the first. */
function watchForSteps() {
  const reached = new Map<number, { readonly position: number; readonly counted: number }>();
  const stepsBack: string[] = [];
  return {
    stepsBack,
    async statusOf(queryApi: Service): Promise<Status | undefined> {
      const status = await statusOf(queryApi);
      for (const { partition, position, counted } of status?.partitions ?? []) {
        const before = reached.get(partition);
        if (before && (position < before.position || counted < before.counted))
          stepsBack.push(`partition ${partition}: ${JSON.stringify(before)}, then ${position}, ${counted}`);
        reached.set(partition, { position, counted });
      }
      return status;
    },
  };
}

async function counts(queryApi: Service, more: number, phase: string): Promise<void> {
  const before = await eventually(`status, ${phase}`, () => statusOf(queryApi));
  await eventually(`${more} more clicks counted, ${phase}`, async () => {
    const now = await statusOf(queryApi);
    return now !== undefined && now.conservation.counted - before.conservation.counted >= more;
  });
}

/** Posts without a pause, to each ingest in turn; what is not acknowledged goes, as it is, to the next one. */
function keepPosting(stream: ClickStream, ingests: readonly Service[]) {
  const stop = new AbortController();
  let turn = 0;
  const post = async (body: string) => {
    const { url } = ingests[turn++ % ingests.length]!;
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}/v1/clicks`, { method: 'POST', headers, body }).catch(() => undefined);
    return response?.status === 202;
  };
  const posting = (async () => {
    while (!stop.signal.aborted) {
      const clicks = stream.take(30).map(({ adId, eventId, clickedAt, country }) => {
        return { ad_id: adId, event_id: eventId, clicked_at: clickedAt, country };
      });
      await eventually('clicks accepted', () => post(JSON.stringify(clicks)));
      await sleep(75);
    }
  })();
  posting.catch(() => undefined);
  return {
    async end() {
      stop.abort();
      await posting;
    },
  };
}

/** Of a stored filter, what it is; `countries`: put it anew. */
async function filterAt({ url }: Service, id: string, countries?: readonly string[]): Promise<unknown> {
  const put = {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ countries: { in: countries } }),
  };
  const response = await fetch(`${url}/v1/filters/${id}`, countries === undefined ? {} : put);
  const answer = (await response.json()) as { readonly countries?: { readonly in: unknown } };
  return response.ok ? answer.countries?.in : `${response.status}`;
}

/** What would say that one release did not understand the other. */
const trouble = /halted|CANNOT be read|passed over|does not begin with|rows DIFFER|refused a click|"level":"fatal"/;

it(`counts each click once while ${previousRelease.version} and ${release} take turns, in both orders, up and down`, async () => {
  expect(release).not.toBe(previousRelease.version);
  await using pipeline = await openPipeline('upgrade-');
  await pipeline.setUp('before');
  let queryApi = await pipeline.start('queryApi', 'before');
  let sink = await pipeline.start('sink', 'before');
  let aggregator = await pipeline.start('aggregator', 'before');
  const ingests = await Promise.all([pipeline.start('ingest', 'before'), pipeline.start('ingest', 'this')]);
  const since = Date.now();
  const stream = clickStream({ ads: 200, seed: 47 });
  const load = keepPosting(stream, ingests);
  await counts(queryApi, 300, 'with the release before alone');

  // As in a rolling upgrade: for a while both share the partitions.
  const replaceAggregator = async (version: Version) => {
    const next = await pipeline.start('aggregator', version);
    await counts(queryApi, 200, `with aggregators of both releases, ${version} the newer one`);
    expect(await aggregator.stop()).toBe(0);
    aggregator = next;
    await counts(queryApi, 300, `after the aggregator is of the release ${version}`);
  };
  const replaceSink = async (version: Version) => {
    const next = await pipeline.start('sink', version);
    await counts(queryApi, 200, `with sinks of both releases, ${version} the newer one`);
    expect(await sink.stop()).toBe(0);
    sink = next;
    await counts(queryApi, 300, `after the sink is of the release ${version}`);
  };
  // The release before runs jobs in its query API, which must not do so beside a job runner.
  let jobs: Service | undefined;
  const replaceQueryApi = async (version: Version) => {
    if (jobs) expect(await jobs.stop()).toBe(0);
    const next = await pipeline.start('queryApi', version);
    expect(await queryApi.stop()).toBe(0);
    queryApi = next;
    jobs = version === 'before' ? undefined : await pipeline.start('jobs', version);
    await counts(queryApi, 300, `after the query API is of the release ${version}`);
  };
  // The release before inserts what is stored by itself; this one brings it into the log, however often they take turns.
  expect(await filterAt(queryApi, 'first', ['KR'])).toEqual(['KR']);
  expect(await filterAt(queryApi, 'replaced', ['KR'])).toEqual(['KR']);
  await replaceAggregator('this');
  await pipeline.setUp('this');
  await replaceSink('this');
  await replaceQueryApi('this');
  expect(await filterAt(queryApi, 'first')).toEqual(['KR']);
  expect(await filterAt(queryApi, 'replaced', ['DE'])).toEqual(['DE']);
  await replaceAggregator('before');
  await replaceQueryApi('before');
  expect(await filterAt(queryApi, 'replaced')).toEqual(['DE']);
  for (const country of ['FR', 'ES', 'US']) expect(await filterAt(queryApi, 'replaced', [country])).toEqual([country]);
  await replaceSink('before');
  await replaceSink('this');
  await replaceAggregator('this');
  await replaceQueryApi('this');
  await load.end();

  const watch = watchForSteps();
  await eventually('all clicks counted', async () => {
    const { conservation } = (await watch.statusOf(queryApi)) ?? {};
    const isRested = conservation?.rows && Date.parse(conservation.rows.checked_at) > Date.now() - 5_000;
    return isRested && conservation.counted >= stream.distinct && conservation.rows?.difference === 0;
  });
  const atRest = await watch.statusOf(queryApi);
  expect(watch.stepsBack).toEqual([]);
  expect(atRest?.conservation).toMatchObject({ counted: stream.distinct, balanced: true });
  const said = pipeline.started.flatMap(({ title, service }) =>
    service
      .logs()
      .split('\n')
      .filter(line => trouble.test(line))
      .map(line => `${title}: ${line}`),
  );
  expect(said).toEqual([]);
  await using clickhouse = await pipeline.openStore();
  for (const table of ['stored_filter', 'conservation_seal']) {
    await eventually(`all of ${table} is in the log`, async () => {
      const [row] = await clickhouse.query<{ n: number; logged: number }>(
        `SELECT toUInt32(count()) AS n, toUInt32(sum(logged)) AS logged FROM ${table} FINAL`,
      );
      return row?.n === row?.logged;
    });
  }
  expect(await Promise.all(['first', 'replaced'].map(id => filterAt(queryApi, id)))).toEqual([['KR'], ['US']]);
  expect(await filterAt(queryApi, 'replaced', ['BR'])).toEqual(['BR']);
  await Promise.all([aggregator, sink, queryApi, jobs, ...ingests].map(service => service?.stop()));

  const cells = await clickhouse.query<{ ad_id: string; m: number; n: number }>(
    'SELECT ad_id, toUnixTimestamp(minute) AS m, sum(clicks) AS n FROM ad_minute FINAL GROUP BY ad_id, m',
  );
  expect(new Map(cells.map(({ ad_id, m, n }) => [`${ad_id}|${m}`, Number(n)]))).toEqual(stream.truth);
  const [raw] = await clickhouse.query<{ n: number }>('SELECT uniqExact(event_id) AS n FROM click_raw');
  expect(Number(raw?.n)).toBe(stream.distinct);
  console.log(`${stream.distinct} clicks, ${Math.round((Date.now() - since) / 1_000)} s`);
});

it('stands before what a later release has written, counts and stores all else, and goes on once it is that release', async () => {
  await using pipeline = await openPipeline('later-');
  await using producer = createProducer(pipeline.kafka, { acks: -1, timeoutMs: 5_000 });
  const post = (partition: number, headers?: Record<string, string>) => {
    const value = formatLine(click({ adId: `ad-${partition}`, clickedAt: Date.now() }));
    return producer.send('later-clicks', [{ partition, value, ...(headers ? { headers } : {}) }]);
  };
  await pipeline.setUp('this');
  const queryApi = await pipeline.start('queryApi', 'this');
  let [sink, aggregator] = await Promise.all([pipeline.start('sink', 'this'), pipeline.start('aggregator', 'this')]);
  const counted = async (clicks: number) =>
    eventually(`${clicks} clicks counted`, async () => (await statusOf(queryApi))?.conservation.counted === clicks);
  const standing = async (service: Service, ...places: readonly string[]) => {
    const found = (await scrape(service.url)).filter(
      ({ name, value }) => name === 'adclicks_format_unknown' && value === 1,
    );
    return places.every(place =>
      found.some(({ labels }) => `${labels['reader']} ${labels['topic']}[${labels['partition']}]` === place),
    );
  };
  const readiness = async (service: Service) => {
    const response = await fetch(`${service.url}/readyz`);
    return `${response.status} ${await response.text()}`;
  };
  await post(0);
  await counted(1);

  await post(0, { adclicks_format: '2' });
  await post(0);
  for (let i = 0; i < 3; i++) await post(1);
  await counted(4);
  await eventually('aggregator and raw sink stand', async () => {
    const isAt = [standing(aggregator, 'aggregator later-clicks[0]'), standing(sink, 'later-sink-raw later-clicks[0]')];
    return (await Promise.all(isAt)).every(Boolean);
  });
  for (const service of [aggregator, sink]) {
    expect(await readiness(service)).toMatch(
      /^503 .*topic later-clicks, partition 0, offset \d+: header adclicks_format .*2/,
    );
  }

  // The one that writes what the sink cannot read: its rows wait.
  await aggregator.stop();
  aggregator = await pipeline.start('aggregator', 'later');
  await post(1);
  await eventually('the sink of rows stands', () =>
    standing(sink, 'later-sink-aggregates later-aggregates[0]', 'later-sink-aggregates later-aggregates[1]'),
  );
  expect((await statusOf(queryApi))?.conservation.counted).toBe(4);

  await sink.stop();
  sink = await pipeline.start('sink', 'later');
  await counted(7);
  const { conservation } = await eventually('status', () => statusOf(queryApi));
  expect(conservation).toMatchObject({ duplicates: 0, balanced: true });
  expect(await readiness(aggregator)).toMatch(/^200/);
});
