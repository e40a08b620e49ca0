/**
 * Makes the range of an address into from, to and granularity. The range is exact to the minute, however long a bar is: the
 * first and the last bar may be parts of an hour or a day. Days and months are those of the chosen zone.
 */
import { serverTime } from './clock.js';
import { shownZone } from './format.js';
import { dateAt, isoIn, startOfDay } from './zone.js';

/** @import { SeriesAnswer } from './api-types.ts' */
/** @import { Address } from './address.js' */
/** @import { CalendarDay } from './zone.js' */

/**
 * `from` and `to` are whole minutes in epoch ms. A range that `isMoving` ends now and moves with the clock.
 * @typedef {{ readonly from: number, readonly to: number, readonly granularity: SeriesAnswer['granularity'],
 *   readonly isMoving: boolean }} Range
 */

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** Ranges that end now, by their length. */
export const lengths = { '15m': 15 * minute, '1h': hour, '6h': 6 * hour, '24h': day, '7d': 7 * day, '31d': 31 * day };

/**
 * `of` gives the first day of the range, and the day after its last one. The latter is undefined if the range ends now.
 * @typedef {{ text: string, title?: string, of(date: CalendarDay, zone: string): [CalendarDay, CalendarDay | undefined] }} CalendarRange
 */

/** Ranges of the calendar. @type {Readonly<Record<string, CalendarRange>>} */
export const calendar = {
  today: { text: 'Today', of: date => [date, undefined] },
  // Samoa had no 30 December in 2011: the day before is asked of the clock.
  yesterday: { text: 'Yesterday', of: (date, zone) => [dateAt(startOfDay(date, zone) - 1, zone), date] },
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

/**
 * @param {Address} address
 * @param {string} zone
 * @returns {Range}
 */
export function rangeOf({ range = standard, from, to }, zone, now = serverTime()) {
  const [begin, until] = [Date.parse(from ?? ''), Date.parse(to ?? '')];
  // NaN is neither smaller nor larger than a number, so a text that is not a time is not used.
  if (begin < until) {
    return ranged(Math.floor(begin / minute) * minute, Math.ceil(until / minute) * minute, false);
  }
  // The running minute is included.
  const end = Math.floor(now / minute) * minute + minute;
  const named = own(calendar, range);
  if (named) {
    const [first, last] = named.of(dateAt(now, zone), zone);
    return ranged(startOfDay(first, zone), last ? startOfDay(last, zone) : end, last === undefined);
  }
  return ranged(end - (own(lengths, range) ?? lengths[standard]), end, true);
}

/**
 * What is wrong with the range of an address, in a sentence. A shared link may be cut off or mistyped, and what is shown then
 * is not what was meant.
 * @param {Address} address
 */
export function wrongRange({ range, from, to }) {
  const shown =
    own(calendar, range ?? standard)?.text ?? (own(lengths, range ?? standard) ? (range ?? standard) : standard);
  if ((from || to) && !(Date.parse(from ?? '') < Date.parse(to ?? '')))
    return `The address says from “${from ?? ''}” to “${to ?? ''}”, which is no range of time: this is “${shown}”.`;
  if (range && !from && shown === standard && range !== standard)
    return `The address says “${range}”, which is no known range: this is “${standard}”.`;
  return '';
}

/** The query parameters of a range, in the zone of the page. @param {{ readonly from: number, readonly to: number }} range */
export function queryOf({ from, to }) {
  return { from: isoIn(from, shownZone()), to: isoIn(to, shownZone()) };
}

/**
 * The value for a name of the address. An address may hold any text, also `constructor`, which every object has.
 * @template T
 * @param {Readonly<Record<string, T>>} known
 * @param {string} name
 */
function own(known, name) {
  return Object.hasOwn(known, name) ? known[name] : undefined;
}

/** @param {number} from @param {number} to @param {boolean} isMoving @returns {Range} */
function ranged(from, to, isMoving) {
  return { from, to, granularity: granularityOf(to - from), isMoving };
}

/** A week in which clocks are put back is an hour longer, and is still shown by the hour. @param {number} length */
function granularityOf(length) {
  if (length <= 6 * hour) return 'minute';
  return length <= 7 * day + 3 * hour ? 'hour' : 'day';
}
