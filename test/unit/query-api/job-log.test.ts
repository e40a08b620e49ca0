import { describe, expect, it } from 'vitest';
import { onlyNode } from '../../../aggregator/sink/node.ts';
import { resultContract, resultRows } from '../../../aggregator/sink/result-rows.ts';
import { byForm } from '../../../aggregator/sink/table-rows.ts';
import { Corrupt, Fenced, Retryable, UnknownFormat } from '../../../infra/errors.ts';
import { assertKnown } from '../../../infra/kafka/record-contract.ts';
import type { TransactionRecords } from '../../../infra/kafka/transactional-producer.ts';
import { names as namesOf } from '../../../infra/topics.ts';
import { createJobWriter } from '../../../query-api/jobs/writing/job-writer.ts';
import { type JobEntry, jobLogOver, recordsOf, transactionSends } from '../../../query-api/log/job-log.ts';
import { createJobRequests } from '../../../query-api/routes/jobs/job-requests.ts';
import { newJob } from '../../../query-api/store/jobs/job.ts';
import { logRecordOf } from '../../support/log-into.ts';

const names = namesOf('p-');
const replay = { kind: 'replay', reason: 'replay', apply: true, from: 0, to: 60_000 } as const;
const job = newJob(replay, 1_763_800_000_000);

/** A producer that records what was committed, one transaction after another. */
function producer(commit: (content: TransactionRecords) => Promise<void> = async () => undefined) {
  const commits: TransactionRecords[] = [];
  let open = 0;
  return {
    commits,
    async commit(content: TransactionRecords) {
      expect(++open).toBe(1);
      await new Promise(resolve => setImmediate(resolve));
      try {
        await commit(content);
        commits.push(content);
      } finally {
        open--;
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** What a sink inserts, by table, in the order of insertion. */
const insertedOf = (entries: readonly JobEntry[]) =>
  transactionSends(entries, names).flatMap(({ topic, records }) => {
    const read = records.map((record, i) => logRecordOf(record, i));
    for (const record of read) assertKnown(resultContract, { topic, partition: 0 }, record);
    return [...resultRows({ topic, partition: 0, records: read }, onlyNode.holds)].flatMap(([table, pieces]) =>
      byForm(pieces).map(rows => {
        const lines = Buffer.concat(rows).toString().trim().split('\n');
        return { table, rows: lines.map(line => JSON.parse(line)) };
      }),
    );
  });

describe('what the job runner writes', () => {
  it('goes into ClickHouse unchanged, in the order in which it may become visible, whatever the order in which it was written', () => {
    const count = { minute: 60, ad_id: 'a', country: 'KR', partition: 3, clicks: 2, duplicates: 1, late: 0 };
    const seal = { source: 'ad_minute', partition: 3, since: 0, until: 3_600, counted: 7, at: 9 };
    const entries: JobEntry[] = [
      { kind: 'job-runner', rows: [{ since: 1, instance: 'i', host: 'h' }] },
      { kind: 'job', rows: [{ id: 'j', seq: 2 }] },
      { kind: 'seal', rows: [seal] },
      { kind: 'settled-minute', rows: [{ minute: 60, settled: 1 }] },
      { kind: 'minute-recount', rows: [{ minute: 60 }] },
      { kind: 'ad-minute', rows: [{ ...count, version: '281474976710661' }] },
      { kind: 'recounted-minute', rows: [{ minute: 60, settled: 0 }] },
      { kind: 'restatement', rows: [{ minute: 60, ad_id: 'a' }] },
      { kind: 'diff', rows: [{ job: 'j' }] },
    ];
    expect(insertedOf(entries)).toEqual([
      { table: 'conservation_seal', rows: [seal] },
      { table: 'replay_diff', rows: [{ job: 'j' }] },
      { table: 'restatement', rows: [{ minute: 60, ad_id: 'a' }] },
      { table: 'recounted_minute', rows: [{ minute: 60, settled: 0 }] },
      { table: 'ad_minute', rows: [[60, 'a', 'KR', 3, '281474976710661', 2, 1, 0]] },
      { table: 'recounted_minute', rows: [{ minute: 60, settled: 1 }] },
      { table: 'minute_recount', rows: [{ minute: 60 }] },
      { table: 'replay_job', rows: [{ id: 'j', seq: 2 }] },
      { table: 'job_runner', rows: [{ since: 1, instance: 'i', host: 'h' }] },
    ]);
  });

  it('is cut into records of one kind and of a size that brokers accept, and restated counts by their partition', () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => ({
      ...{ minute: 60, ad_id: `ad-${i}`, country: 'KR', partition: i % 3, version: '281474976710661' },
      ...{ clicks: 2, duplicates: 1, late: 0 },
    }));
    const records = recordsOf({ kind: 'ad-minute', rows });
    expect(records.length).toBeGreaterThan(3);
    for (const { value, headers } of records) {
      expect(value.length).toBeLessThan(257 << 10);
      expect(headers).toMatchObject({ kind: 'ad-minute', adclicks_format: '1' });
      const partitions = value
        .toString()
        .trim()
        .split('\n')
        .map(line => JSON.parse(line)[3]);
      expect([...new Set(partitions)].map(String)).toEqual([headers?.['partition']]);
    }
    const lines = records.flatMap(({ value }) => value.toString().trim().split('\n'));
    expect(new Set(lines).size).toBe(rows.length);
    const sends = transactionSends([{ kind: 'ad-minute', rows }], names);
    expect(sends.map(({ topic }) => topic)).toEqual(['p-job-results']);
  });

  it('has keys where compaction must keep the last record', () => {
    const seals = [1, 2].map(partition => ({ source: 'quarantine', partition, since: 70, until: 90, at: 1 }));
    expect(recordsOf({ kind: 'seal', rows: seals }).map(({ key }) => key)).toEqual([
      'quarantine/1/70',
      'quarantine/2/70',
    ]);
    expect(recordsOf({ kind: 'filter', rows: [{ id: 'mine' }] }).map(({ key }) => key)).toEqual(['mine']);
    expect(recordsOf({ kind: 'former-filter', rows: [{ id: 'mine' }] }).map(({ key }) => key)).toEqual(['former/mine']);
    expect(recordsOf({ kind: 'job', rows: [{ id: 'j' }] }).map(({ key }) => key)).toEqual([undefined]);
  });

  it('is one transaction after another, and none without rows', async () => {
    const to = producer();
    const log = jobLogOver(to, names);
    await Promise.all([1, 2, 3].map(seq => log.write([{ kind: 'job', rows: [{ id: 'j', seq }] }])));
    await log.write([{ kind: 'diff', rows: [] }]);
    const seqs = to.commits.flatMap(({ sends }) => sends.flatMap(({ records }) => records.map(r => String(r.value))));
    expect(seqs.map(line => JSON.parse(line).seq)).toEqual([1, 2, 3]);
  });
});

describe('a job that is saved', () => {
  it('is written in one transaction with its rows, behind them', async () => {
    const to = producer();
    const writer = createJobWriter(jobLogOver(to, names), { query: async () => [] });
    await writer.save(job, [{ kind: 'diff', rows: [{ job: job.id }] }]);
    expect(to.commits.length).toBe(1);
    const kinds = to.commits[0]?.sends.flatMap(({ records }) => records.map(({ headers }) => headers?.['kind']));
    expect(kinds).toEqual(['diff', 'job']);
  });

  it('is not reported as saved before the commit, and fails when its transaction does', async () => {
    const committed = Promise.withResolvers<void>();
    const writer = createJobWriter(
      jobLogOver(
        producer(() => committed.promise),
        names,
      ),
      { query: async () => [] },
    );
    let isSaved = false;
    const saved = writer.save(job).then(() => {
      isSaved = true;
    });
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(isSaved).toBe(false);
    committed.resolve();
    await saved;
    const fenced = createJobWriter(
      jobLogOver(
        producer(() => Promise.reject(new Fenced('gone'))),
        names,
      ),
      {
        query: async () => [],
      },
    );
    await expect(fenced.save(job)).rejects.toBeInstanceOf(Fenced);
  });

  it('is waited for until ClickHouse shows it, or a later row of it', async () => {
    const shown = [0, 1, 3];
    const asked: unknown[] = [];
    const query = async <T>(_sql: string, params: unknown) => {
      asked.push(params);
      return [{ n: shown.shift() }] as T[];
    };
    const writer = createJobWriter(jobLogOver(producer(), names), { query }, { withinMs: 60_000, pollMs: 0 });
    await writer.caughtUp();
    expect(asked).toEqual([]);
    await writer.save(job);
    await writer.save({ ...job, seq: 2 });
    await writer.caughtUp();
    expect([shown, asked.length]).toEqual([[], 3]);
    await writer.caughtUp();
    expect(asked.length).toBe(3);
  });

  it('is waited for until the nodes of all shards show it', async () => {
    const shown = { a: [1, 1, 1], b: [0, 0, 1] };
    const node = (name: 'a' | 'b') => ({
      clickhouse: { query: async <T>() => [{ n: shown[name].shift() }] as T[] },
    });
    const nodes = [node('a'), node('b')];
    const writer = createJobWriter(
      jobLogOver(producer(), names),
      { query: () => Promise.reject(new Error('one node is asked')) },
      { withinMs: 60_000, pollMs: 0 },
      () => nodes,
    );
    await writer.save(job);
    await writer.caughtUp();
    expect(shown.b).toEqual([]);
  });

  it('is not waited for for ever', async () => {
    const writer = createJobWriter(
      jobLogOver(producer(), names),
      { query: async () => [] },
      { withinMs: 5, pollMs: 1 },
    );
    await writer.save(job);
    await expect(writer.caughtUp()).rejects.toThrow(Retryable);
  });
});

describe('a job that somebody asks for', () => {
  it('is accepted when it is in the log, even if ClickHouse does not show it, because a second request would make another job', async () => {
    const appended: unknown[] = [];
    const requests = {
      append: async (kind: string, rows: readonly object[]) => void appended.push([kind, rows.length]),
      [Symbol.asyncDispose]: async () => undefined,
    };
    const store = { get: async () => undefined, cancelled: async () => new Set<string>() };
    const asked = createJobRequests(requests, store, { withinMs: 2, pollMs: 1 });
    await asked.save(job);
    await asked.cancel(job.id, 7);
    expect(appended).toEqual([
      ['job', 1],
      ['cancellation', 1],
    ]);
    const away = { ...requests, append: () => Promise.reject(new Retryable('no broker')) };
    await expect(createJobRequests(away, store).save(job)).rejects.toBeInstanceOf(Retryable);
  });
});

describe('the rows of records', () => {
  const record = (kind: string, value: string | null, offset = 5) => ({
    ...{ offset, timestamp: 0, headers: { kind } },
    value: value === null ? null : Buffer.from(value),
  });
  const rowsOf = (...records: ReturnType<typeof record>[]) =>
    [...resultRows({ topic: 'filters', partition: 0, records }, onlyNode.holds)].flatMap(([, pieces]) =>
      pieces.map(String),
    );

  it('let a filter win only over filters before it in the log', () => {
    const seqOf = (offset: number) => JSON.parse(rowsOf(record('filter', '{"id":"a"}', offset)).join()).seq;
    expect(seqOf(0)).toBeGreaterThan(Date.UTC(2200, 0));
    expect(seqOf(8) - seqOf(7)).toBe(65_536);
    expect(seqOf(100_000_000_000)).toBeLessThan(Number.MAX_SAFE_INTEGER);
    expect(JSON.parse(rowsOf(record('former-filter', '{"id":"a","seq":3}')).join()).seq).toBe(3);
  });

  it.each([
    ['has no value', 'job', null],
    ['is no filter', 'filter', 'x'],
  ])('are none of a record that %s: its partition halts there', (_, kind, value) => {
    expect(() => rowsOf(record(kind, value))).toThrow(Corrupt);
  });

  it.each([[{ kind: 'pardon' }], [{ kind: 'job', adclicks_format: '2' }], [{}]])('are not made of %j', headers => {
    const place = { topic: 'job-results', partition: 0 };
    expect(() => assertKnown(resultContract, place, { offset: 0, headers })).toThrow(UnknownFormat);
  });
});
