/**
 * What jobs and people say, through a real broker and a sink into a real ClickHouse: whole or not at all, in the order of the
 * log, from one runner at a time; and a ClickHouse that is filled anew from the log has it all.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { notJudged } from '../../aggregator/ad-minute.ts';
import type { SealRow } from '../../aggregator/job-records.ts';
import { changeOf } from '../../aggregator/replay/cell-change.ts';
import { type ClickHouse, openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, KafkaConfig, loadConfig } from '../../infra/config.ts';
import { Fenced } from '../../infra/errors.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { watchAppends } from '../../infra/kafka/append-watch.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { openTransactionalProducer } from '../../infra/kafka/transactional-producer.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { createRestater, diffOf } from '../../query-api/jobs/recount/apply-changes.ts';
import { takeOverFormerRows } from '../../query-api/jobs/runner/former-rows.ts';
import { announceTerm } from '../../query-api/jobs/runner/term.ts';
import { createJobWriter } from '../../query-api/jobs/writing/job-writer.ts';
import { openJobLog, transactionSends } from '../../query-api/log/job-log.ts';
import { openRequestLog, type RequestLog } from '../../query-api/log/request-log.ts';
import { createJobRequests } from '../../query-api/routes/jobs/job-requests.ts';
import { createFilterStore } from '../../query-api/store/filters/filter-store.ts';
import { newJob } from '../../query-api/store/jobs/job.ts';
import { createJobStore, jobRowOf } from '../../query-api/store/jobs/job-store.ts';
import { createRunnerStore } from '../../query-api/store/jobs/runner-store.ts';
import { createSealStore } from '../../query-api/store/jobs/seal-store.ts';
import { forgetGroup } from '../bench/backlog.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { createTables, startTestClickHouse, type TestClickHouse } from '../support/clickhouse.ts';
import { planted, type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const log = createLog('test', 'error');
const names = namesOf('');
const start = Date.UTC(2026, 4, 12, 8, 26);
const stack = new AsyncDisposableStack();
let broker: TestBroker;
let server: TestClickHouse;
let env: Record<string, string>;
let kafka: ReturnType<typeof createKafka>;
let clickhouse: ClickHouse;
let requests: RequestLog;
let sink: Service;

beforeAll(async () => {
  broker = stack.use(await startTestBroker());
  server = stack.use(await startTestClickHouse());
  env = { KAFKA_BROKERS: broker.brokers, SINK_SESSION_TIMEOUT_MS: '6000' };
  kafka = createKafka(loadConfig(KafkaConfig, env), 'test', log);
  await ensureTopics(kafka, names, 2);
  await createTables(server.env);
  clickhouse = stack.use(openClickHouse(loadConfig(ClickHouseConfig, server.env), { readers: 4 }));
  requests = stack.use(openRequestLog(kafka, names));
  sink = await startSink(server);
});
afterAll(async () => {
  await sink?.stop();
  await stack[Symbol.asyncDispose]();
});

async function startSink({ env: store }: TestClickHouse): Promise<Service> {
  const service = stack.use(await startService('aggregator/sink/main.ts', 'SINK_PORT', { ...env, ...store }));
  await service.ready();
  return service;
}

/** Begins a term as a job runner does. */
async function openTerm() {
  const jobLog = await openJobLog(kafka, names);
  const runners = createRunnerStore(clickhouse, { timeoutMs: 5_000 });
  await announceTerm(jobLog, { runners, host: 'test', now: Date.now });
  const store = { ...createJobStore(clickhouse, { timeoutMs: 9_000 }), ...createJobWriter(jobLog, clickhouse) };
  return { jobLog, store, [Symbol.asyncDispose]: () => jobLog[Symbol.asyncDispose]() };
}

/** Every one of the ads of a minute from one click to two. */
function changes(ads: number, minute = start / 1_000) {
  return Array.from({ length: ads }, (_, i) => {
    const cell = { minute, ad_id: `ad-${i}`, country: 'KR', partition: i % 2, clicks: 2, duplicates: 0, ...notJudged };
    return changeOf(cell, [{ ...cell, clicks: 1, late: 0, revision: 0 }])!;
  });
}

const restateJob = () =>
  newJob({ kind: 'restate', reason: 'late', apply: true, from: start, to: start + 60_000 }, Date.now());

const one = async <T>(sql: string, of: ClickHouse = clickhouse): Promise<T> => {
  const [row] = await of.query<{ v: T }>(`SELECT ${sql} SETTINGS output_format_json_quote_64bit_integers=0`);
  if (row === undefined) throw new Error(`no row: ${sql}`);
  return row.v;
};

it('tells who waits for it that something was asked for, and of nothing before it was', async () => {
  let told = 0;
  await using watch = watchAppends(kafka, { topic: names.topic('job-requests'), onAppended: () => told++, log });
  await eventually('it watches', () => told === 1);
  await requests.append('cancellation', [{ job: 'none', at: start }]);
  await eventually('told', () => told === 2);
  expect(told).toBe(2);
  await requests.append('cancellation', [{ job: 'none', at: start + 1 }]);
  await eventually('told again', () => told >= 3);
  expect(told).toBe(3);
  await watch[Symbol.asyncDispose]();
});

describe('what who runs the jobs says', () => {
  it('is all there once the job that it says it with is there, also where it takes many batches', async () => {
    await using term = await openTerm();
    const job = restateJob();
    const found = changes(30_000);
    const restater = createRestater({ job: job.id, reason: 'late', readUntil: new Map([[0, 9]]), now: Date.now });
    restater.stage(found, [start]);
    await term.store.save({ ...job, state: 'done' }, [
      diffOf(found, { job: job.id, at: Date.now() }),
      ...restater.take(),
    ]);
    await term.store.caughtUp();
    const noneInvalid = { invalid_before: 0, invalid_after: 0 };
    expect(await term.store.diffTotals(job.id)).toEqual({
      ...{ cells: 30_000, before: 30_000, after: 60_000, ...noneInvalid },
    });
    expect(await one(`count() AS v FROM restatement FINAL WHERE job = '${job.id}'`)).toBe(30_000);
    for (const table of ['ad_minute', 'ad_minute_by_ad'])
      expect(await one(`sum(clicks) AS v FROM ${table} FINAL WHERE version > 1000000`)).toBe(60_000);
    expect(await one(`groupArray((cells, settled)) AS v FROM recounted_minute FINAL`)).toEqual([[30_000, 1]]);
  });

  it('is nowhere where its runner was fenced before the commit, and his successor sees all that was committed', async () => {
    const dying = await openTransactionalProducer(kafka, names.jobRunner);
    const job = restateJob();
    const said = transactionSends([{ kind: 'job', rows: [jobRowOf(job)] }], names);
    // Refused, as it is too large: what was appended before it hangs in an open transaction.
    const tooLarge = { topic: 'job-results', records: [{ partition: 0, value: Buffer.alloc(9 << 20, 0x20) }] };
    await expect(dying.commit({ sends: [...said, tooLarge] })).rejects.toBeInstanceOf(Fenced);
    await using term = await openTerm();
    const next = restateJob();
    await term.store.save(next);
    await term.store.caughtUp();
    expect(await term.store.get(job.id, ['restate'])).toBeUndefined();
    expect((await term.store.get(next.id, ['restate']))?.seq).toBe(1);
    await dying[Symbol.asyncDispose]();
  });

  it('comes from one runner: the one before writes nothing more', async () => {
    await using before = await openTerm();
    const job = restateJob();
    await before.store.save(job);
    await using term = await openTerm();
    await expect(before.store.save({ ...job, state: 'done', seq: 2 })).rejects.toBeInstanceOf(Fenced);
    await expect(before.store.save({ ...job, state: 'done', seq: 3 })).rejects.toBeInstanceOf(Fenced);
    expect((await term.store.get(job.id, ['restate']))?.state).toBe('queued');
    await term.store.save({ ...job, state: 'failed', seq: 2 });
    await term.store.caughtUp();
    expect((await term.store.get(job.id, ['restate']))?.state).toBe('failed');
  });

  it('is sealed, and a seal that is renewed outdoes the one before though the clock has been set back', async () => {
    await using term = await openTerm();
    const seal = {
      source: 'ad_minute',
      partition: 1,
      since: 3_600,
      until: 7_200,
      duplicates: 0,
      invalid: 0,
      quarantined: 0,
    } as const;
    const kept_until = Math.floor(Date.now() / 1_000) + 86_400;
    for (const [counted, now] of [
      [5, Date.now()],
      [4, 1_000],
    ] as const) {
      const seals = createSealStore({ clickhouse, jobLog: term.jobLog, now: () => now });
      await seals.save([{ ...seal, counted, kept_until }]);
      expect((await seals.totals()).get(1)?.counted).toBe(counted);
    }
  });
});

describe('what people ask for', () => {
  it('is there when it is answered: jobs, cancellations, filters', async () => {
    const store = createJobStore(clickhouse, { timeoutMs: 9_000 });
    const asked = createJobRequests(requests, store);
    const job = newJob({ kind: 'replay', reason: 'replay', apply: false, from: start, to: start + 60_000 }, Date.now());
    await asked.save(job);
    expect(await store.get(job.id, ['replay'])).toEqual(job);
    await asked.cancel(job.id, Date.now());
    expect(await store.cancelled([job.id])).toEqual(new Set([job.id]));
    const filters = createFilterStore(clickhouse, { timeoutMs: 9_000, requests });
    await filters.put('mine', { countries: { in: ['KR'] } }, Date.now());
    expect((await filters.get('mine'))?.definition).toEqual({ countries: { in: ['KR'] } });
    await filters.remove('mine', Date.now());
    expect(await filters.get('mine')).toBeUndefined();
  });

  it('holds in the order of the log: of two changes of a filter the later one, whatever their clocks say', async () => {
    const filters = createFilterStore(clickhouse, { timeoutMs: 9_000, requests });
    await filters.put('clocks', { countries: { in: ['DE'] } }, Date.now() + 3_600_000);
    await filters.put('clocks', { countries: { in: ['US'] } }, Date.now());
    expect((await filters.get('clocks'))?.definition).toEqual({ countries: { in: ['US'] } });
  });

  it('is refused with 503 where no sink shows it, and there when it comes back', async () => {
    await sink.stop();
    const filters = createFilterStore(clickhouse, { timeoutMs: 9_000, requests });
    await expect(filters.put('late', { countries: { in: ['KR'] } }, 7)).rejects.toThrow(
      'id "late": the change is written, but not visible yet: send the same request again, which does no harm',
    );
    sink = await startSink(server);
    await eventually('filter', async () => (await filters.get('late'))?.definition);
  });

  it('writes off a difference, in writing', async () => {
    const writeOffBy = (options: readonly string[], ...args: string[]) =>
      promisify(execFile)(
        process.execPath,
        [...options, ...planted, 'query-api/jobs/conservation/write-off-main.ts', ...args],
        { env: { PATH: process.env['PATH'], MUTATION: process.env['MUTATION'], ...env } },
      );
    const writeOff = (...args: string[]) => writeOffBy([], ...args);
    const sealStoreDeps = { clickhouse, jobLog: { write: async () => undefined }, now: Date.now };
    await writeOff('--partition', '1', '--counted=-5', '--missing', '34', '--note', 'disk of 12 May');
    const row = await eventually('written off', async () => {
      const [found] = await clickhouse.query<SealRow>(
        `SELECT partition, counted, missing, note FROM conservation_seal FINAL WHERE source = 'accepted'
         SETTINGS output_format_json_quote_64bit_integers=0`,
      );
      return found;
    });
    expect(row).toEqual({ partition: 1, counted: -5, missing: 34, note: 'disk of 12 May' });
    // In one millisecond, as scripts may do: the clock of these processes stands still.
    const before = (await createSealStore(sealStoreDeps).totals()).get(1);
    const still = `data:text/javascript,const at = Date.now(); Date.now = () => at - at % 3_600_000;`;
    for (const counted of [2, 3])
      await writeOffBy(['--import', still], '--partition', '1', '--counted', `${counted}`, '--note', 'twice');
    await eventually('both written off', async () => {
      const { counted } = (await createSealStore(sealStoreDeps).totals()).get(1) ?? { counted: 0 };
      return counted === (before?.counted ?? 0) + 5;
    });
    for (const [args, error] of [
      [['--partition', 'x', '--counted', '1', '--note', 'n'], '--partition'],
      [['--partition=-1', '--counted', '1', '--note', 'n'], '0 or more'],
      [['--partition', '700', '--counted', '1', '--note', 'n'], 'must be a partition of topic'],
      [['--partition', '1', '--note', 'n'], 'nothing to write off'],
      [['--partition', '1', '--counted', '1'], '--note'],
      [['--partition', '1', '--counted', '1.5', '--note', 'n'], 'must be a whole number'],
      [['--partitions', '1'], '--partitions'],
    ] as const) {
      await expect(writeOff(...args)).rejects.toMatchObject({ code: 78, stdout: expect.stringContaining(error) });
    }
  });
});

describe('a ClickHouse that is filled anew', () => {
  it('has all that the log has, and what a release before had inserted by itself', async () => {
    const insert = (table: string, row: object) => clickhouse.insert(table, JSON.stringify(row));
    const at = Date.now() - 5_000;
    const former = {
      id: 'former',
      definition: '{"countries":{"in":["FR"]}}',
      deleted: 0,
      created_at: at,
      updated_at: at,
      seq: at,
    };
    await insert('stored_filter', former);
    // Replaced since then, by this release: it must not come back.
    await insert('stored_filter', { ...former, id: 'clocks' });
    const accepted = {
      source: 'accepted',
      partition: 0,
      since: 7,
      until: 7,
      counted: 3,
      duplicates: 0,
      quarantined: 0,
    };
    await insert('conservation_seal', { ...accepted, kept_until: 0, note: 'by hand', at });
    const open = newJob({ kind: 'replay', reason: 'replay', apply: true, from: start, to: start + 60_000 }, Date.now());
    await insert('replay_job', { ...jobRowOf(open), logged: 0 });
    const ended = { ...jobRowOf(restateJob()), state: 'done', logged: 0 };
    await insert('replay_job', ended);
    // Visible, and its rows not copied when that release ended.
    const minute = start / 1_000 + 60;
    const restater = createRestater({ job: 'former', reason: 'late', readUntil: new Map(), now: Date.now });
    restater.stage(changes(2, minute), []);
    const [told, visible] = restater.take();
    for (const row of told?.rows ?? []) await insert('restatement', row);
    await insert('recounted_minute', visible?.rows[0] ?? {});

    await using term = await openTerm();
    for (const _ of [1, 2]) await takeOverFormerRows({ clickhouse, jobLog: term.jobLog, requests, log, pageRows: 1 });
    expect(await one(`sum(clicks) AS v FROM ad_minute_by_ad FINAL WHERE toUnixTimestamp(minute) = ${minute}`)).toBe(4);
    const filters = createFilterStore(clickhouse, { timeoutMs: 9_000, requests });
    expect((await filters.get('former'))?.definition).toEqual({ countries: { in: ['FR'] } });
    expect((await filters.get('clocks'))?.definition).toEqual({ countries: { in: ['US'] } });

    await sink.stop();
    const anew = stack.use(await startTestClickHouse());
    await createTables(anew.env);
    await forgetGroup({ kafka } as Parameters<typeof forgetGroup>[0], names.resultSinkGroup);
    sink = await startSink(anew);
    await using filled = openClickHouse(loadConfig(ClickHouseConfig, anew.env), { readers: 2 });
    const rowsOf = (of: ClickHouse, table: string, where: string) =>
      one(`arraySort(groupArray(toString(tuple(*)))) AS v FROM ${table} FINAL WHERE ${where}`, of);
    for (const [table, where] of [
      ['stored_filter', '1'],
      ['conservation_seal', '1'],
      ['replay_job', `id != '${ended.id}'`],
      ['replay_cancellation', '1'],
      ['replay_diff', '1'],
      ['restatement', `job != 'former'`],
      ['recounted_minute', '1'],
      ['ad_minute', '1'],
      ['ad_minute_by_ad', '1'],
      ['job_runner', '1'],
    ] as const) {
      const expected = await rowsOf(clickhouse, table, where);
      expect((expected as string[]).length).toBeGreaterThan(0);
      await eventually(`${table} is equal`, async () => {
        return JSON.stringify(await rowsOf(filled, table, where)) === JSON.stringify(expected);
      });
    }
  });
});

describe('a record of a kind that is not known', () => {
  it('is stood before, and what other topics say goes on', async () => {
    await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
    await producer.send('write-offs', [{ partition: 0, key: 'x', value: '{}\n', headers: { kind: 'pardon' } }]);
    await eventually('the sink stands', async () => {
      const response = await fetch(`${sink.url}/readyz`);
      return /topic write-offs, partition 0, offset \d+: header kind .*pardon/.test(await response.text());
    });
    await requests.append('cancellation', [{ job: 'goes-on', at: Date.now() }]);
    await eventually('another topic goes on', async () => {
      const response = await fetch(`${sink.url}/metrics`);
      return /adclicks_sink_position\{[^}]*topic="job-requests".*\} [1-9]/.test(await response.text());
    });
  });
});
