/**
 * What the rule for CSV (infra/csv.ts) costs exports: rows a second of both exports as they are, beside the same
 * statements with bare columns, in turns, on the real store; told are the best of each, as what else runs only slows.
 * The goal: at least 0.9 of bare.
 *
 *     node test/bench/export-csv.ts [--rows 2000000] [--runs 7] [--json FILE]
 */
import { pino } from 'pino';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { migrate } from '../../infra/migrate.ts';
import { createExportQueries } from '../../query-api/store/exports.ts';
import { scriptOptions } from '../support/script-options.ts';
import { openTemporaryClickHouse } from '../support/temporary-clickhouse.ts';
import { type BenchRow, rowOf, tell } from './bench-row.ts';

const { values: options } = scriptOptions(import.meta.filename, {
  options: {
    rows: { type: 'string', default: '2000000' },
    runs: { type: 'string', default: '7' },
    json: { type: 'string' },
  },
});
const rows = Number(options.rows);
const minutes = 60;
const to = Math.floor(Date.now() / 60_000) * 60_000;
const selection = { from: to - minutes * 60_000, to, countries: [], adIds: [] };

await using engine = await openTemporaryClickHouse();
const { clickhouse } = engine;
await migrate(clickhouse, pino({ level: 'silent' }));
const from = `toDateTime(${selection.from / 1_000}, 'UTC')`;
await clickhouse.command(
  `INSERT INTO ad_minute (minute, ad_id, country, partition, version, clicks, duplicates, late)
       SELECT ${from} + 60 * (number % ${minutes}), concat('ad-', toString(intDiv(number, ${minutes}))),
     'KR', number % 4, 1, 1 + number % 7, 0, 0 FROM numbers(${rows})`,
);
await clickhouse.command(
  `INSERT INTO click_raw (click_id, event_id, ad_id, clicked_at, received_at, country, user_id, ip) SELECT concat('01K', leftPad(toString(number), 23, '0')), lower(hex(sipHash128(number))),
     concat('ad-', toString(number % 50000)), toDateTime64(${from}, 3, 'UTC') + number % ${minutes * 60}, now64(3), 'KR',
     concat('u-', toString(number % 100000)), concat('203.0.113.', toString(number % 256)) FROM numbers(${rows})`,
);

/** The same store, without the rule. */
const bare: ClickHouse = {
  ...clickhouse,
  stream(sql, format, params) {
    const without = sql.replace(/concat\(if\(ascii\((\w+::String)\) .*?, ''\), \1\)/g, '$1');
    if (without === sql) throw new Error('the statement has no marked column');
    return clickhouse.stream(without, format, params);
  },
};
const limits = { timeoutMs: 60_000, exportTimeoutMs: 600_000 };
const [ours, theirs] = [createExportQueries(clickhouse, limits), createExportQueries(bare, limits)];

const results: BenchRow[] = [];
for (const what of ['adMinutes', 'clicks'] as const) {
  const read = (queries: typeof ours) =>
    what === 'clicks'
      ? queries.clicks(selection, 'csv')
      : queries.adMinutes({ ...selection, isSettled: true }, to, 'csv');
  const [marked, plain]: number[][] = [[], []];
  for (let run = 0; run <= Number(options.runs); run++) {
    const pair = [await rateOf(read(theirs)), await rateOf(read(ours))];
    // The first only warms up.
    if (run === 0) continue;
    plain?.push(pair[0] ?? 0);
    marked?.push(pair[1] ?? 0);
  }
  results.push(
    rowOf(`export of ${rows} rows as csv, ${what}`, Math.max(...(marked ?? [])), 'rows/s', {
      name: 'the same without the rule for CSV',
      value: Math.max(...(plain ?? [])),
    }),
  );
}
tell(results, options.json);

async function rateOf(pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const begin = performance.now();
  let lines = 0;
  for await (const piece of pieces) for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) lines++;
  if (lines !== rows + 1) throw new Error(`${lines} lines, not ${rows + 1}`);
  return (rows / (performance.now() - begin)) * 1_000;
}
