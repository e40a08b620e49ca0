import { describe, expect, it } from 'vitest';
import type { AdMinuteRow } from '../../../aggregator/ad-minute.ts';
import { changeOf } from '../../../aggregator/replay/cell-change.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import type { ClickHouse } from '../../../infra/clickhouse.ts';
import { applyChanges } from '../../../query-api/jobs/apply-changes.ts';

const partitions = 12;

/** A cell of an ad that was split, counted one too low. */
function changeAt(minute: number): CellChange {
  const cell = { minute, ad_id: 'ad-hot', country: 'KR', partition: 3, clicks: partitions + 1, duplicates: 0 };
  const stated = Array.from({ length: partitions }, (_, partition) => {
    return { minute, ad_id: 'ad-hot', country: 'KR', partition, revision: 0, clicks: 1, duplicates: 0, late: 0 };
  });
  return changeOf(cell, stated)!;
}

describe('applyChanges', () => {
  it('replaces all rows of a cell in one insert, so that no reader sums old and new ones', async () => {
    const inserts: { table: string; rows: AdMinuteRow[] }[] = [];
    const insert = async (table: string, ndjson: string) => {
      inserts.push({ table, rows: ndjson.split('\n').map(line => JSON.parse(line)) });
    };
    const changes = Array.from({ length: 10_000 }, (_, i) => changeAt(i * 60));
    const clickhouse = { insert } as unknown as ClickHouse;
    await applyChanges(clickhouse, changes, { job: 'j', reason: 'replay', at: 1_000 });
    for (const table of ['ad_minute', 'ad_minute_by_ad']) {
      const ours = inserts.filter(each => each.table === table);
      expect(ours.length).toBeGreaterThan(1);
      expect(ours.reduce((sum, { rows }) => sum + rows.length, 0)).toBe(changes.length * partitions);
      for (const { rows } of ours) {
        expect(rows.length).toBeLessThanOrEqual(50_000);
        for (const [, cell] of Map.groupBy(rows, row => row.minute)) {
          expect(cell).toHaveLength(partitions);
          expect(cell.reduce((sum, { clicks }) => sum + clicks, 0)).toBe(partitions + 1);
        }
      }
    }
  });
});
