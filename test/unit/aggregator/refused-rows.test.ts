import { expect, it } from 'vitest';
import { firstRefusedLine, insertOneByOne } from '../../../aggregator/sink/refused-rows.ts';
import type { ClickHouse } from '../../../infra/clickhouse.ts';
import { RefusedRows } from '../../../infra/errors.ts';
import { createLog } from '../../../infra/log.ts';
import { formatLine } from '../../../ingest/click.ts';
import { click, minute0 } from '../../support/clicks.ts';

it('keeps a refused click in quarantine, apart from the lines of its record that the aggregator keeps there', async () => {
  const inserts: { table: string; ndjson: string }[] = [];
  const clickhouse = {
    async insert(table: string, ndjson: string) {
      if (table === 'click_raw' && ndjson.includes('bad')) throw new RefusedRows('no');
      inserts.push({ table, ndjson });
    },
  } as unknown as ClickHouse;
  const [good, bad] = [formatLine(click()), formatLine(click({ adId: 'bad' }))];
  const record = { offset: 7, timestamp: minute0, value: Buffer.from(`garbage\n${bad}\n${good}`) };
  const batch = { topic: 'clicks', partition: 2, fetchedOffset: 7, nextOffset: 8, highWatermark: 8, records: [record] };
  await insertOneByOne(clickhouse, { ...batch, heartbeat: async () => undefined }, createLog('test', 'fatal'));
  expect(inserts.map(({ table }) => table)).toEqual(['quarantine', 'click_raw']);
  expect(JSON.parse(inserts[0]!.ndjson)).toMatchObject({
    partition: 2,
    offset: 7,
    line: firstRefusedLine,
    reason: 'refused',
    raw: bad,
  });
});
