import { describe, expect, it } from 'vitest';
import { changeOf } from '../../../aggregator/replay/cell-change.ts';
import type { CellChange, RecountedMinuteRow, RestatementRow } from '../../../aggregator/restatement.ts';
import type { ClickHouse } from '../../../infra/clickhouse.ts';
import { Retryable } from '../../../infra/errors.ts';
import { createRestater, settle } from '../../../query-api/jobs/apply-changes.ts';

/** A cell of an ad that was split, counted one too low. */
function changeAt(minute: number, partitions = 12): CellChange {
  const cell = { minute, ad_id: 'ad-hot', country: 'KR', partition: 3, clicks: partitions + 1, duplicates: 0 };
  const stated = Array.from({ length: partitions }, (_, partition) => {
    return { minute, ad_id: 'ad-hot', country: 'KR', partition, revision: 0, clicks: 1, duplicates: 0, late: 0 };
  });
  return changeOf(cell, stated)!;
}

/** A store that tells what is asked of it, in order; `lost`: rows of restatement that it does not show. */
function storeWith({ lost = 0 } = {}) {
  const asked: string[] = [];
  const minutes = new Map<number, RecountedMinuteRow>();
  const restated: RestatementRow[] = [];
  const clickhouse = {
    async insert(table: string, ndjson: string) {
      const rows = ndjson.split('\n').map(line => JSON.parse(line));
      asked.push(`insert ${table} ${rows.length}`);
      if (table === 'recounted_minute') for (const row of rows) minutes.set(row.minute, row);
      else restated.push(...rows);
    },
    async query(sql: string) {
      const open = [...minutes.values()].filter(({ settled }) => settled === 0);
      if (!sql.includes('count()')) return open;
      const visible = new Set(open.map(({ minute }) => minute));
      return [{ n: restated.filter(({ minute }) => visible.has(minute)).length - lost }];
    },
    async command(sql: string) {
      asked.push(sql.trim().split(' (')[0] ?? '');
    },
  } as unknown as ClickHouse;
  return { clickhouse, asked, minutes, restated };
}

const restaterOf = (clickhouse: ClickHouse) =>
  createRestater({ clickhouse, job: 'j', reason: 'late', readUntil: new Map([[3, 70]]), now: () => 5 });

describe('what a recount has found', () => {
  it('is told whole before it becomes visible, and copied into the counts after that', async () => {
    const { clickhouse, asked, minutes, restated } = storeWith();
    const restater = restaterOf(clickhouse);
    const changes = [changeAt(60), changeAt(60), changeAt(120)];
    await restater.stage(changes, []);
    expect(asked).toEqual(['insert restatement 3']);
    await restater.publish();
    expect(asked.slice(1)).toEqual(['insert recounted_minute 2', 'INSERT INTO ad_minute', 'insert recounted_minute 2']);
    expect([...minutes.values()]).toEqual([
      { minute: 60, at: 5, job: 'j', cells: 2, read_until: { 3: 70 }, settled: 1 },
      { minute: 120, at: 5, job: 'j', cells: 1, read_until: { 3: 70 }, settled: 1 },
    ]);
    expect(restated[0]).toEqual({ ...changes[0], job: 'j', reason: 'late', at: 5 });
    await restater.publish();
    expect(asked.length).toBe(4);
  });

  it('says of a minute without changes how far it was read, and copies nothing', async () => {
    const { clickhouse, asked, minutes } = storeWith();
    const restater = restaterOf(clickhouse);
    await restater.stage([], [180_000]);
    await restater.publish();
    expect(asked).toEqual(['insert recounted_minute 1']);
    expect(minutes.get(180)).toMatchObject({ cells: 0, read_until: { 3: 70 }, settled: 1 });
  });

  it('stays as it is where rows that were told are not to be seen, and is copied when they are', async () => {
    const { clickhouse, asked, minutes } = storeWith({ lost: 1 });
    const restater = restaterOf(clickhouse);
    await restater.stage([changeAt(60)], []);
    await expect(restater.publish()).rejects.toBeInstanceOf(Retryable);
    await expect(settle(clickhouse)).rejects.toBeInstanceOf(Retryable);
    expect(asked).toEqual(['insert restatement 1', 'insert recounted_minute 1']);
    expect(minutes.get(60)?.settled).toBe(0);
  });

  it('is written in parts that a store takes, a minute always with one row', async () => {
    const { clickhouse, asked, minutes } = storeWith();
    const restater = restaterOf(clickhouse);
    await restater.stage(
      Array.from({ length: 60_000 }, (_, i) => changeAt(60 * (i % 600), 1)),
      [],
    );
    await restater.publish();
    expect(asked.slice(0, 3)).toEqual([
      'insert restatement 50000',
      'insert restatement 10000',
      'insert recounted_minute 500',
    ]);
    expect(minutes.size).toBe(600);
    expect([...minutes.values()].every(({ cells, settled }) => cells === 100 && settled === 1)).toBe(true);
  });
});
