/**
 * Handles a batch that ClickHouse has refused: inserts the good lines of clicks and keeps the refused lines in table
 * `quarantine`, and inserts rows of our own processes whole or not at all.
 *
 * Of clicks it tries each half of the batch, then each half of a refused half, and so on. The lines were checked before, so a
 * refusal is an error of this program and must be examined. But it must not delay the clicks of other people.
 */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { Corrupt, RefusedRows } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { Logger } from '../../infra/log.ts';
import type { Erased } from './erased-rows.ts';
import { refusedLines } from './metrics.ts';
import { rawRows } from './raw-rows.ts';
import { byForm, type TableRows } from './table-rows.ts';

/**
 * Refused rows are numbered from here on, by their place among the rows of their record. Lower numbers belong to lines
 * that the aggregator has quarantined from the same record. With equal numbers one row would replace the other.
 */
export const firstRefusedLine = 2 ** 31;

export async function insertAllButRefused(
  clickhouse: ClickHouse,
  { partition, records }: FetchedBatch,
  erased: Erased,
  log: Logger,
): Promise<void> {
  for (const record of records) {
    const rows = Buffer.concat(rawRows(partition, [record], erased))
      .toString()
      .split('\n')
      .filter(isLine);
    await insertHalves(clickhouse, rows, async (line, why) => {
      refusedLines.inc();
      log.error({ partition, offset: record.offset, line, why }, 'the store refused a click');
      const row = {
        partition,
        offset: record.offset,
        line: firstRefusedLine + line,
        reason: 'refused',
        // The cut text may end in half a character, which ClickHouse would also refuse.
        detail: why.toWellFormed(),
        appended_at: record.timestamp,
        ad_id: '',
        event_id: '',
        clicked_at: 0,
        raw: rows[line],
      };
      await clickhouse.insert('quarantine', JSON.stringify(row));
    });
  }
}

/** Calls `onRefused` with the number of each row that ClickHouse refuses. */
async function insertHalves(
  clickhouse: ClickHouse,
  rows: readonly string[],
  onRefused: (line: number, why: string) => Promise<void>,
): Promise<void> {
  const open: [from: number, to: number][] = [[0, rows.length]];
  for (let range = open.pop(); range !== undefined; range = open.pop()) {
    const [from, to] = range;
    if (from === to) continue;
    try {
      await clickhouse.insert('click_raw', rows.slice(from, to).join('\n'));
    } catch (error) {
      if (!(error instanceof RefusedRows)) throw error;
      const middle = (from + to) >>> 1;
      if (to - from === 1) await onRefused(from, error.message);
      else open.push([middle, to], [from, middle]);
    }
  }
}

function isLine(line: string): boolean {
  return line !== '';
}

/**
 * Inserts one batch again, alone, because it may contain the rows that ClickHouse refused. Only our own processes write
 * such rows, and leaving one out would make a count wrong. So if the batch is refused again, its partition is halted.
 */
export async function insertWhole(
  clickhouse: ClickHouse,
  batch: FetchedBatch,
  rowsOf: (batch: FetchedBatch) => TableRows,
): Promise<void> {
  const { topic, partition, fetchedOffset, nextOffset } = batch;
  try {
    for (const [table, pieces, columns] of rowsOf(batch)) {
      for (const rows of byForm(pieces)) await clickhouse.insert(table, Buffer.concat(rows), columns);
    }
  } catch (error) {
    if (!(error instanceof RefusedRows)) throw error;
    throw new Corrupt(
      `${topic}[${partition}], offsets ${fetchedOffset} to ${nextOffset - 1}: ClickHouse does not accept the rows: ${error.message}`,
      { cause: error },
    );
  }
}
