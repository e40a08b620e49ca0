/** A range of the address → from, to and granularity of a series. */
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

export const presets = { '15m': 15 * minute, '1h': hour, '6h': 6 * hour, '24h': day, '7d': 7 * day, '31d': 31 * day };
export const stepMs = { minute, hour, day };

/** `from`, `to`: epoch ms on borders of the granularity. `isMoving`: it ends now, and goes on with the clock. */
export function rangeOf({ range = '1h', from, to }, now = Date.now()) {
  const given = [Date.parse(from ?? ''), Date.parse(to ?? '')];
  if (given.every(Number.isFinite) && given[0] < given[1]) {
    const granularity = granularityOf(given[1] - given[0]);
    const step = stepMs[granularity];
    return { from: floor(given[0], step), to: ceil(given[1], step), granularity, isMoving: false };
  }
  const length = presets[range] ?? presets['1h'];
  const granularity = granularityOf(length);
  const step = stepMs[granularity];
  const end = floor(now, step) + step;
  return { from: end - length, to: end, granularity, isMoving: true };
}

export function queryOf({ from, to }) {
  return { from: String(from), to: String(to) };
}

function granularityOf(length) {
  if (length <= 6 * hour) return 'minute';
  return length <= 7 * day ? 'hour' : 'day';
}

const floor = (ms, step) => Math.floor(ms / step) * step;
const ceil = (ms, step) => Math.ceil(ms / step) * step;
