/**
 * What happens when the store refuses a batch of clicks: every line is tried alone, the good ones go in, and the refused
 * are kept, whole, in table `quarantine`. The lines were checked before, so this is a fault of ours to be looked at, but
 * it must not hold up other people's clicks.
 */
import type { ClickHouse } from '../../infra/clickhouse.ts';
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

export async function insertOneByOne(
  clickhouse: ClickHouse,
  { partition, records }: FetchedBatch,
  log: Logger,
): Promise<void> {
  for (const record of records) {
    const lines = Buffer.concat(rawRows(partition, [record]))
      .toString()
      .split('\n')
      .filter(line => line !== '');
    for (const [line, raw] of lines.entries()) {
      try {
        await clickhouse.insert('click_raw', raw);
      } catch (error) {
        if (!(error instanceof RefusedRows)) throw error;
        refusedLines.inc();
        log.error({ partition, offset: record.offset, line, why: error.message }, 'the store refused a click');
        const row = {
          partition,
          offset: record.offset,
          line: firstRefusedLine + line,
          reason: 'refused',
          detail: error.message,
          appended_at: record.timestamp,
          ad_id: '',
          event_id: '',
          clicked_at: 0,
          raw,
        };
        await clickhouse.insert('quarantine', JSON.stringify(row));
      }
    }
  }
}
