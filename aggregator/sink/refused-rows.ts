/**
 * What happens when the store refuses a batch of clicks: each half of it is tried, and so on, until the good lines are in
 * and the refused ones are kept, whole, in table `quarantine`. The lines were checked before, so this is a fault of ours
 * to be looked at, but it must not hold up other people's clicks.
 */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { RefusedRows } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { Logger } from '../../infra/log.ts';
import { refusedLines } from './metrics.ts';
import { rawRows } from './raw-rows.ts';

/**
 * Refused rows are numbered from here, by their place among the rows of their record. Below stand the aggregator's own
 * lines of that record: with the same number one of the two would replace the other.
 */
export const firstRefusedLine = 2 ** 31;

export async function insertAllButRefused(
  clickhouse: ClickHouse,
  { partition, records }: FetchedBatch,
  log: Logger,
): Promise<void> {
  for (const record of records) {
    const rows = Buffer.concat(rawRows(partition, [record]))
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
        // Cut, it may end in half a character, which the store would refuse as well.
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

/** `onRefused` is called for each of `rows` that the store does not take, by its number. */
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
