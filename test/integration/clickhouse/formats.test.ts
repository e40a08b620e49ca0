/** What a real ClickHouse takes of another release's rows: objects with more or fewer fields, and never another array. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RefusedRows } from '../../../infra/errors.ts';
import { migrate } from '../../../infra/migrate.ts';
import { newJob } from '../../../query-api/store/jobs/job.ts';
import { jobsIn } from '../../support/log-into.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

let engine: TemporaryClickHouse;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, pino({ level: 'silent' }));
});
afterAll(() => engine?.[Symbol.asyncDispose]());

const insert = (table: string, ...lines: readonly unknown[]) =>
  engine.clickhouse.insert(table, lines.map(line => JSON.stringify(line)).join('\n'));
const progress = (partition: number) => ({
  ...{ partition, partitions: 4, position: 9, watermark: 1_763_800_000_000, final_until: 0, appended_at: 0 },
  ...{ received: 5, counted: 4, duplicates: 1, quarantined: 0 },
});
const positions = () =>
  engine.clickhouse.query<{ partition: number; position: number }>(
    'SELECT partition, position FROM partition_progress FINAL ORDER BY partition',
  );

describe('the store', () => {
  it('takes rows with fields that a newer release has added, and passes over these alone', async () => {
    await insert('partition_progress', { of_a_later_release: 7, by_minute: { a: [1] }, ...progress(0) }, progress(1));
    expect(await positions()).toEqual([0, 1].map(partition => ({ partition, position: 9 })));
  });

  it('takes rows of an older release once a newer one has added a column', async () => {
    await engine.clickhouse.command('ALTER TABLE partition_progress ADD COLUMN of_a_later_release UInt64');
    await insert('partition_progress', progress(2));
    expect(await positions()).toContainEqual({ partition: 2, position: 9 });
  });

  it.each([
    ['a value more', [1_763_800_000, 'ad', 'KR', 0, 9, 1, 0, 0, 7]],
    ['a value fewer', [1_763_800_000, 'ad', 'KR', 0, 9, 1, 0]],
  ])('refuses counts with %s than the table has columns: nothing of them is in', async (_, line) => {
    await expect(insert('ad_minute', line)).rejects.toBeInstanceOf(RefusedRows);
    expect(await engine.clickhouse.query('SELECT ad_id FROM ad_minute FINAL')).toEqual([]);
  });

  it('leaves jobs of a kind that is not known to the release that knows it', async () => {
    const store = jobsIn(engine.clickhouse);
    const asked = { reason: 'asked', apply: true, from: 0, to: 60_000 } as const;
    const now = Date.now();
    const known = newJob({ kind: 'replay', ...asked }, now);
    await store.save({ ...newJob({ kind: 'replay', ...asked }, now - 1_000), kind: 'erase' as 'replay' });
    await store.save(known);
    expect((await store.open(10)).map(({ id }) => id)).toEqual([known.id]);
  });
});
