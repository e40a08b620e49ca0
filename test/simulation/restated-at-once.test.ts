/**
 * What makes restatements visible, from who runs the jobs through the log and a sink to who reads counts: all code of the
 * pipeline, over a log and a store in memory in which every record is appended, and every row inserted and read, at a
 * moment of its own. One seed decides the order of all steps, where batches of the sink cut the log, and where a runner or
 * a sink dies; the next one fences, and goes on. No reader may see parts of a restatement, nor an older one than was there
 * when he began; whoever sees a job's row sees all that the job has said; and a store that is filled anew from the log, in
 * whatever order results and the stream's counts come in, ends as the one that was there.
 */

import { describe, expect, it } from 'vitest';
import { adMinuteRowOf, notJudged } from '../../aggregator/ad-minute.ts';
import type { JobRunnerRow } from '../../aggregator/job-records.ts';
import { changeOf } from '../../aggregator/replay/cell-change.ts';
import type { RecountedMinuteRow, RestatementRow } from '../../aggregator/restatement.ts';
import { BatchInserter } from '../../aggregator/sink/batch-inserter.ts';
import { onlyNode } from '../../aggregator/sink/node.ts';
import { resultRows } from '../../aggregator/sink/result-rows.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { Fenced } from '../../infra/errors.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { createRestater } from '../../query-api/jobs/recount/apply-changes.ts';
import { announceTerm } from '../../query-api/jobs/runner/term.ts';
import { createJobWriter } from '../../query-api/jobs/writing/job-writer.ts';
import { type JobLog, jobLogOver } from '../../query-api/log/job-log.ts';
import { newJob } from '../../query-api/store/jobs/job.ts';
import { createRunnerStore } from '../../query-api/store/jobs/runner-store.ts';
import { createStatedReading, type Stated } from '../../query-api/store/sql/stated-rows.ts';
import { logRecordOf } from '../support/log-into.ts';
import { noErasures } from '../support/no-erasures.ts';
import { SeededRandom } from './seeded-random.ts';

const ads = ['a', 'b', 'c'];
const minutes = [60, 120];
const rounds = 3;
const names = namesOf('');
const patience = { withinMs: 60_000, pollMs: 0 };
const keyOf = (minute: number, ad: string) => `${minute} ${ad}`;

class Died extends Error {}

/** Lets one of those that wait go on, whichever the seed says, until nobody is left. */
class Order {
  readonly #random: SeededRandom;
  readonly #waiting: (() => void)[] = [];

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  readonly step = (): Promise<void> => new Promise(resolve => void this.#waiting.push(resolve));

  async run(tasks: readonly Promise<unknown>[]): Promise<void> {
    let isOver = false;
    const all = Promise.all(tasks).finally(() => {
      isOver = true;
    });
    all.catch(() => undefined);
    while (!isOver) {
      // Whoever went on comes to his next step.
      await new Promise(resolve => setImmediate(resolve));
      const [next] = this.#waiting.splice(this.#random.between(0, Math.max(0, this.#waiting.length - 1)), 1);
      next?.();
    }
    await all;
  }
}

/** One partition, as a reader of what is committed sees it. */
class Log {
  readonly #records: (LogRecord & { readonly transaction: number })[] = [];
  readonly #open = new Set<number>();
  readonly #aborted = new Set<number>();
  #next = 0;
  aborts = 0;

  /** Ends what any earlier producer has left open. `step` may throw: then the producer has died there. */
  producer(step: () => Promise<void>): JobLog {
    for (const transaction of this.#open) this.#abort(transaction);
    const epoch = this.#next++;
    const mine = new Set<number>();
    const isFenced = () => this.#fencedUntil > epoch;
    this.#fencedUntil = epoch;
    return jobLogOver(
      {
        commit: async ({ sends }) => {
          const transaction = this.#next++;
          mine.add(transaction);
          for (const record of sends.flatMap(({ records }) => records)) {
            await step();
            if (isFenced()) throw new Fenced('another runner has fenced this one');
            this.#open.add(transaction);
            this.#records.push({ ...logRecordOf(record, this.#records.length), transaction });
          }
          await step();
          if (!this.#open.delete(transaction)) throw new Fenced('another runner has fenced this one');
          // It may be committed, and who has asked for it does not hear of that any more.
          await step();
        },
        [Symbol.asyncDispose]: async () => undefined,
      },
      names,
    );
  }
  #fencedUntil = 0;

  #abort(transaction: number): void {
    this.#open.delete(transaction);
    this.#aborted.add(transaction);
    this.aborts++;
  }

  get end(): number {
    return this.#records.length;
  }

  /** What is committed, from `offset` on, before the first record of an open transaction. */
  committed(offset: number): { readonly records: readonly LogRecord[]; readonly next: number } {
    const open = this.#records.findIndex(({ transaction }) => this.#open.has(transaction));
    const next = open === -1 ? this.#records.length : open;
    const records = this.#records.slice(offset, next).filter(({ transaction }) => !this.#aborted.has(transaction));
    return { records, next: Math.max(offset, next) };
  }
}

interface Counted {
  readonly version: bigint;
  readonly clicks: number;
}

/** Tables, row by row. */
class Store {
  readonly adMinute = new Map<string, Counted>();
  readonly restatement = new Map<string, RestatementRow>();
  readonly recounted = new Map<string, RecountedMinuteRow>();
  readonly jobs = new Map<string, { readonly seq: number; readonly state: string }>();
  readonly terms = new Map<string, JobRunnerRow>();
  /** A row of replay_job comes in. */
  onJob: (id: string, seq: number) => void = () => undefined;

  /** `step` may throw, or never return: then whoever inserts has died. */
  clickhouse(step: () => Promise<void>): ClickHouse {
    const store: Pick<ClickHouse, 'insert' | 'query'> = {
      insert: async (table, lines) => {
        for (const line of String(lines).trim().split('\n')) {
          await step();
          this.put(table, JSON.parse(line));
        }
      },
      query: async <T>(sql: string, params: Record<string, unknown> = {}) => {
        await step();
        return this.#rows(sql, params) as T[];
      },
    };
    return store as ClickHouse;
  }

  #rows(statement: string, params: Record<string, unknown>): object[] {
    const sql = statement.replace(/\{(\w+):\w+\}/g, (_, name) => String(params[name]));
    const job = /FROM replay_job WHERE id = (\S+)/.exec(sql)?.[1];
    if (job !== undefined) return [{ n: this.jobs.get(job)?.seq ?? 0 }];
    if (sql.includes('FROM job_runner')) return [...this.terms.values()].sort((a, b) => b.since - a.since).slice(0, 1);
    const minute = Number(/minute >= toDateTime\((\d+)/.exec(sql)?.[1]);
    const visible = [...this.recounted.values()].filter(row => row.minute === minute);
    return [{ visible: visible.length, unsettled: visible.filter(({ settled }) => settled === 0).length }];
  }

  put(table: string, row: unknown): void {
    const puts: Record<string, (row: never) => void> = {
      ad_minute: line => {
        const { minute, ad_id, version, clicks } = adMinuteRowOf(line);
        this.#count(keyOf(minute, ad_id), { version: BigInt(version), clicks });
      },
      restatement: (told: RestatementRow) =>
        void this.restatement.set(`${keyOf(told.minute, told.ad_id)} ${told.revision}`, told),
      recounted_minute: (told: RecountedMinuteRow) => {
        const key = `${told.minute} ${told.at} ${told.job}`;
        if (told.settled >= (this.recounted.get(key)?.settled ?? 0)) this.recounted.set(key, told);
      },
      replay_job: ({ id, seq, state }: { id: string; seq: number; state: string }) => {
        if (seq >= (this.jobs.get(id)?.seq ?? 0)) this.jobs.set(id, { seq, state });
        this.onJob(id, seq);
      },
      job_runner: (row: JobRunnerRow) => void this.terms.set(row.instance, row),
    };
    puts[table]?.(row as never);
  }

  #count(key: string, counted: Counted): void {
    const before = this.adMinute.get(key);
    if (before === undefined || counted.version >= before.version) this.adMinute.set(key, counted);
  }

  /** As the stream has counted them. */
  putStream(minute: number, ad: string): void {
    this.#count(keyOf(minute, ad), { version: 1n, clicks: 1 });
  }

  visibleOf(minute: number): number {
    return [...this.recounted.values()].filter(row => row.minute === minute).length;
  }

  /** As a statement reads one ad: the rows, and over them those of visible restatements. */
  clicksOf(minute: number, ad: string, { isSettled }: Stated): number {
    const visible = new Set([...this.recounted.values()].map(({ at, job }) => `${at} ${job}`));
    const over = [...this.restatement.values()].filter(
      row => !isSettled && row.minute === minute && row.ad_id === ad && visible.has(`${row.at} ${row.job}`),
    );
    const rows = over.map(({ revision, at, rows }) => {
      return { version: (BigInt(revision) << 48n) | BigInt(at), clicks: rows[0]?.clicks ?? 0 };
    });
    const counted = this.adMinute.get(keyOf(minute, ad)) ?? { version: 0n, clicks: 0 };
    return rows.reduce((one, other) => (other.version >= one.version ? other : one), counted).clicks;
  }

  /** All that is there, the order in which it came left out. */
  get all(): unknown {
    const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
    const counts = sorted(this.adMinute).map(([key, counted]) => [key, String((counted as Counted).version)]);
    return [counts, ...[this.restatement, this.recounted, this.jobs].map(sorted), [...this.terms.keys()].sort()];
  }
}

const log = createLog('simulation', 'silent');

/** The sink's inserter over batches that end anywhere; it dies now and then, until `isOver` and all is in. */
async function runSink(
  source: Log,
  store: Store,
  { order, random, isOver }: { readonly order: Order; readonly random: SeededRandom; isOver(): boolean },
): Promise<number> {
  let [offset, deaths] = [0, 0];
  while (!isOver() || offset < source.committed(offset).next) {
    let left = random.chance(0.5) ? Number.POSITIVE_INFINITY : random.between(0, 25);
    const dead = Promise.withResolvers<never>();
    dead.promise.catch(() => undefined);
    let isDead = false;
    const clickhouse = store.clickhouse(async () => {
      await order.step();
      if (left-- > 0) return;
      isDead = true;
      dead.reject(new Died());
      await new Promise(() => undefined);
    });
    const inserter = new BatchInserter({
      erasures: noErasures,
      ...{ clickhouse, node: onlyNode.name, log, lingerMs: 0, maxBatchBytes: 1 << 20, intervalMs: 0 },
      onRefused: async () => undefined,
      async commit(_topic, offsets) {
        offset = offsets.get(0) ?? offset;
      },
    });
    while (!isDead && (!isOver() || offset < source.committed(offset).next)) {
      await order.step();
      const { records: all, next } = source.committed(offset);
      if (all.length === 0) {
        // Markers of aborts only, or nothing.
        offset = next;
        continue;
      }
      const records = all.slice(0, random.between(1, all.length));
      const nextOffset = records.length === all.length ? next : (records.at(-1)?.offset ?? 0) + 1;
      const batch = {
        ...{ topic: 'job-results', partition: 0, fetchedOffset: offset, nextOffset, highWatermark: source.end },
        records,
        heartbeat: async () => {
          if (isDead) throw new Died();
        },
      };
      const inserted = inserter.insert(batch, resultRows(batch, onlyNode.holds));
      inserted.catch(() => undefined);
      await Promise.race([inserted, dead.promise]).catch(error => {
        if (!(error instanceof Died)) throw error;
        deaths++;
      });
    }
  }
  return deaths;
}

interface Outcome {
  readonly reads: number;
  readonly deaths: number;
  readonly aborts: number;
  readonly sinkDeaths: number;
}

async function simulate(seed: number): Promise<Outcome> {
  const random = new SeededRandom(seed);
  const order = new Order(random);
  const source = new Log();
  const store = new Store();
  for (const minute of minutes) for (const ad of ads) store.putStream(minute, ad);
  let [isOver, reads, deaths, sinkDeaths, clock] = [false, 0, 0, 0, 1_000];
  const now = () => clock++;

  /** By job and seq: what was said up to then. */
  const said = new Map<string, { readonly minute: number; readonly round: number }[]>();
  /** Jobs whose rows came in before what they had said. */
  const lies: string[] = [];
  store.onJob = (id, seq) => {
    for (const { minute, round } of said.get(`${id} ${seq}`) ?? []) {
      const settled = [...store.recounted.values()].filter(row => row.minute === minute && row.settled === 1);
      const clicks = ads.map(ad => store.adMinute.get(keyOf(minute, ad))?.clicks ?? 0);
      if (settled.length < round - 1 || clicks.some(n => n < round)) lies.push(`${id} ${seq}: ${minute} ${clicks}`);
    }
  };

  const runTerm = async () => {
    let left = random.chance(0.3) ? Number.POSITIVE_INFINITY : random.between(0, 40);
    const step = async () => {
      await order.step();
      if (left-- <= 0) throw new Died();
    };
    const jobLog = source.producer(step);
    const clickhouse = store.clickhouse(order.step);
    const runners = createRunnerStore(clickhouse, { timeoutMs: 1_000 });
    await announceTerm(jobLog, { runners, host: 'simulated', now, patience });
    const writer = createJobWriter(jobLog, clickhouse, patience);
    const clicksOf = (minute: number) => store.adMinute.get(keyOf(minute, ads[0] ?? ''))?.clicks ?? 0;
    while (minutes.some(minute => clicksOf(minute) < rounds)) {
      let job = newJob({ kind: 'restate', reason: 'late', apply: true, from: 60_000, to: 180_000 }, now());
      await writer.save(job);
      const restater = createRestater({ job: job.id, reason: 'late', readUntil: new Map(), now });
      const counted: { readonly minute: number; readonly round: number }[] = [];
      for (const minute of minutes) {
        await order.step();
        const round = clicksOf(minute) + 1;
        if (round > rounds) continue;
        const changes = ads.map(ad_id => {
          const { version, clicks } = store.adMinute.get(keyOf(minute, ad_id))!;
          const cell = { minute, ad_id, country: 'KR', partition: 0, duplicates: 0, ...notJudged };
          const stated = [{ ...cell, clicks, late: 0, revision: Number(version >> 48n) }];
          return changeOf({ ...cell, clicks: clicks + 1 }, stated)!;
        });
        restater.stage(changes, []);
        counted.push({ minute, round });
        job = { ...job, seq: job.seq + 1 };
        said.set(`${job.id} ${job.seq}`, [...counted]);
        await writer.save(job, restater.take());
      }
      await writer.save({ ...job, state: 'done', seq: job.seq + 1 });
      await writer.caughtUp();
    }
  };
  const restate = async () => {
    for (let isDone = false; !isDone; ) {
      try {
        await runTerm();
        isDone = true;
      } catch (error) {
        if (!(error instanceof Died || error instanceof Fenced)) throw error;
        deaths++;
      }
    }
    isOver = true;
  };

  const read = async () => {
    const stated = createStatedReading(store.clickhouse(order.step), { timeoutMs: 1_000 });
    const newest = new Map(minutes.map(minute => [minute, 1]));
    for (; !isOver; reads++) {
      const minute = random.pick(minutes);
      const visible = store.visibleOf(minute) + 1;
      const seen = await stated.at({ from: minute * 1_000, to: minute * 1_000 + 60_000 }, async known => {
        const clicks: number[] = [];
        for (const ad of ads) {
          await order.step();
          clicks.push(store.clicksOf(minute, ad, known));
        }
        return clicks;
      });
      expect([seed, new Set(seen).size]).toEqual([seed, 1]);
      expect(seen[0]).toBeGreaterThanOrEqual(Math.max(newest.get(minute) ?? 0, visible));
      newest.set(minute, seen[0] ?? 0);
    }
  };
  const sink = async () => {
    sinkDeaths += await runSink(source, store, { order, random, isOver: () => isOver });
  };
  await order.run([restate(), sink(), read(), read()]);
  expect([seed, lies]).toEqual([seed, []]);
  expect([seed, ...[...store.adMinute.values()].map(({ clicks }) => clicks)]).toEqual([
    seed,
    ...minutes.flatMap(() => ads.map(() => rounds)),
  ]);

  // Filled anew: results and counts come by different groups of the sink, in any order.
  const anew = new Store();
  const count = async () => {
    for (const minute of minutes) {
      for (const ad of ads) {
        for (let pause = random.between(0, 30); pause > 0; pause--) await order.step();
        anew.putStream(minute, ad);
        expect([seed, anew.clicksOf(minute, ad, { isSettled: false }) <= rounds]).toEqual([seed, true]);
      }
    }
  };
  const fill = async () => {
    sinkDeaths += await runSink(source, anew, { order, random, isOver: () => true });
  };
  await order.run([count(), fill()]);
  expect([seed, anew.all]).toEqual([seed, store.all]);
  return { reads, deaths, aborts: source.aborts, sinkDeaths };
}

describe('restatements that come through the log while others read, and whose runner and sink die', () => {
  it('are seen whole or not at all, and never told before they are there, whatever the order of steps', {
    timeout: 240_000,
  }, async () => {
    const sum = { reads: 0, deaths: 0, aborts: 0, sinkDeaths: 0 };
    for (let seed = 1; seed <= 200; seed++) {
      const done = await simulate(seed);
      for (const key of Object.keys(sum) as (keyof Outcome)[]) sum[key] += done[key];
    }
    expect(sum.reads).toBeGreaterThan(1_000);
    for (const key of ['deaths', 'aborts', 'sinkDeaths'] as const) expect([key, sum[key] > 100]).toEqual([key, true]);
  });
});
