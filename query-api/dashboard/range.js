/**
 * A range of the address → from, to and granularity. It is exact to the minute, whatever the length of a bar: the first
 * and the last bar may be parts of an hour or a day. Days and months are those of the viewer's zone.
 */
import { serverTime } from './clock.js';
import { dateAt, startOfDay } from './zone.js';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** Up to now. */
export const lengths = { '15m': 15 * minute, '1h': hour, '6h': 6 * hour, '24h': day, '7d': 7 * day, '31d': 31 * day };

/** By the calendar. */
export const calendar = {
  today: { text: 'Today', of: date => [date, undefined] },
  yesterday: { text: 'Yesterday', of: date => [{ ...date, day: date.day - 1 }, date] },
  'last-week': {
    text: 'Last week',
    title: 'Monday to Sunday',
    of: date => {
      const monday = date.day - ((new Date(Date.UTC(date.year, date.month - 1, date.day)).getUTCDay() + 6) % 7);
      return [
        { ...date, day: monday - 7 },
        { ...date, day: monday },
      ];
    },
  },
  month: { text: 'This month', of: date => [{ ...date, day: 1 }, undefined] },
  'last-month': {
    text: 'Last month',
    of: date => [
      { ...date, month: date.month - 1, day: 1 },
      { ...date, day: 1 },
    ],
  },
};

export const standard = '1h';

/** `from`, `to`: epoch ms, whole minutes. `isMoving`: it ends now, and goes on with the clock. */
export function rangeOf({ range = standard, from, to }, zone, now = serverTime()) {
  const given = [Date.parse(from ?? ''), Date.parse(to ?? '')];
  if (given.every(Number.isFinite) && given[0] < given[1]) {
    return ranged(Math.floor(given[0] / minute) * minute, Math.ceil(given[1] / minute) * minute, false);
  }
  // With the running minute.
  const end = Math.floor(now / minute) * minute + minute;
  const named = calendar[range];
  if (named) {
    const [first, last] = named.of(dateAt(now, zone));
    return ranged(startOfDay(first, zone), last ? startOfDay(last, zone) : end, last === undefined);
  }
  return ranged(end - (lengths[range] ?? lengths[standard]), end, true);
}

export function queryOf({ from, to }) {
  return { from: String(from), to: String(to) };
}

function ranged(from, to, isMoving) {
  return { from, to, granularity: granularityOf(to - from), isMoving };
}

/** A week in which clocks are put back is a week. */
function granularityOf(length) {
  if (length <= 6 * hour) return 'minute';
  return length <= 7 * day + 3 * hour ? 'hour' : 'day';
}
