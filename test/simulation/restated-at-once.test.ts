/**
 * The code that makes restatements visible and the code that reads counts, over a store in memory in which every row is
 * written, copied and read at a moment of its own. One seed decides the order of all steps, and where the process that
 * restates dies; whoever comes next settles what it left and recounts. No reader may see parts of a restatement, nor an
 * older one than was there when he began.
 */
import { describe, expect, it } from 'vitest';
import { changeOf } from '../../aggregator/replay/cell-change.ts';
import { type RecountedMinuteRow, type RestatementRow, versionOf } from '../../aggregator/restatement.ts';
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { createRestater, settle } from '../../query-api/jobs/apply-changes.ts';
import { createStatedReading, type Stated } from '../../query-api/stated-rows.ts';
import { SeededRandom } from './seeded-random.ts';

const ads = ['a', 'b', 'c'];
const rounds = 4;
const minute = 60;

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

interface Counted {
  readonly version: bigint;
  readonly clicks: number;
}

/** What the statements of both do, row by row. `step` may throw: then whoever asked has died. */
function createStore(step: () => Promise<void>) {
  const adMinute = new Map<string, Counted>(ads.map(ad => [ad, { version: 1n, clicks: 1 }]));
  const restatement = new Map<string, RestatementRow>();
  const recounted = new Map<string, RecountedMinuteRow>();
  const keyOf = ({ at, job }: Pick<RecountedMinuteRow, 'at' | 'job'>) => `${at} ${job}`;
  const unsettled = () => [...recounted.values()].filter(({ settled }) => settled === 0);
  const rowsOf = (minutes: readonly RecountedMinuteRow[]) => {
    const keys = new Set(minutes.map(keyOf));
    return [...restatement.values()].filter(row => keys.has(keyOf(row)));
  };
  const countedOf = ({ revision, at, rows }: RestatementRow): Counted => {
    return { version: BigInt(versionOf(revision, at)), clicks: rows[0]?.clicks ?? 0 };
  };
  const newer = (one: Counted, other: Counted) => (other.version >= one.version ? other : one);
  const storeOf = (pause: () => Promise<void>): ClickHouse =>
    ({
      async insert(table: string, ndjson: string) {
        for (const line of ndjson.split('\n')) {
          await pause();
          const row = JSON.parse(line);
          if (table === 'restatement') restatement.set(`${row.ad_id} ${row.revision}`, row);
          else recounted.set(keyOf(row), row);
        }
      },
      async query(sql: string) {
        await pause();
        if (sql.includes('AS unsettled')) return [{ visible: recounted.size, unsettled: unsettled().length }];
        return sql.includes('count() AS n') ? [{ n: rowsOf(unsettled()).length }] : unsettled();
      },
      async command() {
        for (const row of rowsOf(unsettled())) {
          await pause();
          adMinute.set(row.ad_id, newer(adMinute.get(row.ad_id)!, countedOf(row)));
        }
      },
    }) as unknown as ClickHouse;
  return {
    adMinute,
    recounted,
    forReader: storeOf(step),
    storeOf,
    /** As a statement reads one ad: the rows, and over them those of visible restatements. */
    clicksOf(ad: string, { isSettled }: Stated): number {
      const over = isSettled ? [] : rowsOf([...recounted.values()]).filter(({ ad_id }) => ad_id === ad);
      return over.map(countedOf).reduce(newer, adMinute.get(ad)!).clicks;
    },
  };
}

/** How often readers read, and how often the process died. */
async function simulate(seed: number): Promise<{ readonly reads: number; readonly deaths: number }> {
  const random = new SeededRandom(seed);
  const order = new Order(random);
  const store = createStore(order.step);
  let [isOver, reads, deaths, at] = [false, 0, 0, 1_000];

  const restate = async () => {
    for (let isDone = false; !isDone; ) {
      let left = random.chance(0.3) ? Number.POSITIVE_INFINITY : random.between(0, 20);
      const clickhouse = store.storeOf(async () => {
        await order.step();
        if (left-- <= 0) throw new Died();
      });
      try {
        await settle(clickhouse);
        isDone = [...store.adMinute.values()].every(({ clicks }) => clicks === rounds);
        if (isDone) break;
        const job = `job-${at++}`;
        const restater = createRestater({ clickhouse, job, reason: 'late', readUntil: new Map(), now: () => at });
        const changes = ads.map(ad_id => {
          const { version, clicks } = store.adMinute.get(ad_id)!;
          const cell = { minute, ad_id, country: 'KR', partition: 0, duplicates: 0 };
          const stated = [{ ...cell, clicks, late: 0, revision: Number(version >> 48n) }];
          return changeOf({ ...cell, clicks: clicks + 1 }, stated)!;
        });
        await restater.stage(changes, []);
        await restater.publish();
      } catch (error) {
        if (!(error instanceof Died)) throw error;
        deaths++;
      }
    }
    isOver = true;
  };

  const read = async () => {
    const stated = createStatedReading(store.forReader, { timeoutMs: 1_000 });
    for (let newest = 1; !isOver; reads++) {
      const visible = store.recounted.size + 1;
      const seen = await stated.at({ from: 0, to: 120_000 }, async known => {
        const clicks: number[] = [];
        for (const ad of ads) {
          await order.step();
          clicks.push(store.clicksOf(ad, known));
        }
        return clicks;
      });
      expect([seed, new Set(seen).size]).toEqual([seed, 1]);
      expect(seen[0]).toBeGreaterThanOrEqual(Math.max(newest, visible));
      newest = seen[0] ?? 0;
    }
  };

  await order.run([restate(), read(), read()]);
  expect([...store.adMinute.values()].map(({ clicks }) => clicks)).toEqual(ads.map(() => rounds));
  return { reads, deaths };
}

describe('restatements that become visible while others read, and whose process dies', () => {
  it('are seen whole or not at all, whatever the order of steps', { timeout: 120_000 }, async () => {
    let [reads, deaths] = [0, 0];
    for (let seed = 1; seed <= 300; seed++) {
      const done = await simulate(seed);
      reads += done.reads;
      deaths += done.deaths;
    }
    expect(reads).toBeGreaterThan(1_000);
    expect(deaths).toBeGreaterThan(300);
  });
});
