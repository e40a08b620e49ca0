/** How far each partition is counted, and what is wrong with it. */
import { get } from '../api.js';
import { h } from '../dom.js';
import { duration, shortTime, timeElement } from '../format.js';
import { createCard } from './card.js';
import { tableOf } from './table.js';

/** @import { StatusAnswer } from '../api-types.ts' */
/** @import { Fill } from './card.js' */
/** @import { Column } from './table.js' */

/** @typedef {StatusAnswer['partitions'][number]} PartitionStatus */
/** @typedef {PartitionStatus & { readonly quietMs: number }} Partition */

/**
 * `onStatus(status)` takes each answer; `fills` are what it fills.
 * @param {{ readonly fills: readonly Fill[], onStatus(status: StatusAnswer): void }} options
 */
export function createPartitions({ fills, onStatus }) {
  const quiet = createQuietWatch();
  return createCard({
    title: 'Partitions',
    isFlush: true,
    empty: 'No partition is known yet. The aggregator has probably never run.',
    fills,
    takes: 'partitions',
    async load(signal) {
      const status = await get('/v1/status', {}, signal);
      onStatus(status);
      const rows = status.partitions.map(row => ({ ...row, quietMs: quiet.sinceMs(row) }));
      return rows.length === 0 ? undefined : tableOf('Partitions', columns, rows);
    },
  });
}

/** How long each partition has received no line, as far as this page has seen. */
function createQuietWatch() {
  /** @type {Map<number, { readonly received: number, readonly at: number }>} */
  const seen = new Map();
  return {
    /** @param {PartitionStatus} row */
    sinceMs({ partition, received }) {
      const now = performance.now();
      const before = seen.get(partition);
      if (before === undefined || before.received !== received) {
        seen.set(partition, { received, at: now });
        return 0;
      }
      return now - before.at;
    },
  };
}

const idleAfterMs = 5_000;

/** @param {Partition} partition @returns {readonly [mark: string, text: string]} */
function stateOf({ lag_records, quietMs, balance, missing, written_off, stalled_since }) {
  if (stalled_since !== null) return ['bad', `not counted since ${shortTime(stalled_since)}`];
  if (balance !== 0) return ['bad', 'does not balance'];
  if (missing > written_off) return ['bad', 'clicks are missing'];
  if (lag_records === null) return ['warn', 'not known: Kafka does not answer'];
  if (quietMs > idleAfterMs && lag_records === 0) return ['', `no clicks for ${duration(quietMs)}`];
  if (lag_records > 1_000) return ['warn', 'catching up'];
  return ['good', 'counting'];
}

/** @type {Column<Partition>[]} */
const columns = [
  { head: 'Partition', value: row => row.partition },
  {
    head: 'State',
    value: row => stateOf(row)[1],
    cell: row => {
      const [mark, text] = stateOf(row);
      return h('span', { class: `tag ${mark}` }, text);
    },
  },
  { head: 'Position', isNumber: true, value: row => row.position },
  { head: 'Unread records', isNumber: true, value: row => row.lag_records },
  {
    head: 'Watermark age',
    isNumber: true,
    value: row => row.watermark_age_ms,
    cell: row => duration(row.watermark_age_ms),
  },
  { head: 'Watermark', value: row => row.watermark, cell: row => timeElement(row.watermark, 'seconds') },
  { head: 'Final until', value: row => row.final_until, cell: row => timeElement(row.final_until) },
  { head: 'Received', isNumber: true, value: row => row.received },
  { head: 'Counted', isNumber: true, value: row => row.counted },
  { head: 'Duplicates', isNumber: true, value: row => row.duplicates },
  { head: 'Quarantined', isNumber: true, value: row => row.quarantined },
  { head: 'Invalid', isNumber: true, value: row => row.invalid },
  { head: 'Net', isNumber: true, value: row => row.net },
  { head: 'Missing', isNumber: true, value: row => row.missing },
];
