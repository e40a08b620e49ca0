import { expect, it } from 'vitest';
import { firstRefusedLine, insertAllButRefused } from '../../../aggregator/sink/refused-rows.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { RefusedRows } from '../../../infra/errors.ts';
import { createLog } from '../../../infra/log.ts';
import { formatLine } from '../../../ingest/click.ts';
import { click, minute0 } from '../../support/clicks.ts';
import { noErasures } from '../../support/no-erasures.ts';

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
  await insertAllButRefused(
    clickhouse,
    { ...batch, heartbeat: async () => undefined },
    noErasures.book,
    createLog('test', 'fatal'),
  );
  expect(inserts.map(({ table }) => table)).toEqual(['quarantine', 'click_raw']);
  expect(JSON.parse(inserts[0]!.ndjson)).toMatchObject({
    partition: 2,
    offset: 7,
    line: firstRefusedLine,
    reason: 'refused',
    raw: bad,
  });
});

it('finds one refused line among a thousand in few inserts', async () => {
  let inserts = 0;
  const taken: string[] = [];
  const clickhouse = {
    async insert(table: string, ndjson: string) {
      if (table !== 'click_raw') return;
      inserts++;
      if (ndjson.includes('bad')) throw new RefusedRows('no');
      taken.push(...ndjson.split('\n'));
    },
  } as unknown as ClickHouse;
  const good = Array.from({ length: 1_000 }, () => formatLine(click()));
  const lines = good.toSpliced(700, 0, formatLine(click({ adId: 'bad' })));
  const record = { offset: 7, timestamp: minute0, value: Buffer.from(lines.join('\n')) };
  const batch = { topic: 'clicks', partition: 2, fetchedOffset: 7, nextOffset: 8, highWatermark: 8, records: [record] };
  await insertAllButRefused(
    clickhouse,
    { ...batch, heartbeat: async () => undefined },
    noErasures.book,
    createLog('test', 'fatal'),
  );
  expect(taken).toEqual(good);
  expect(inserts).toBeLessThan(25);
});
