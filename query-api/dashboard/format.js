/** Writes numbers and times for people: in the language of the viewer and in the chosen zone. A time shows UTC when the mouse is over it. */
import { serverTime } from './clock.js';
import { h } from './dom.js';
import { dateAt, ownZone, wallTime } from './zone.js';

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const oneDigit = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** @typedef {string | number | Date} Time  ISO or epoch ms. */
/** @typedef {'clock' | 'seconds' | 'day' | 'date'} TimeForm */

let zone = ownZone;
let clocks = clocksOf(zone);

/** Sets the zone in which all times are shown from now on. @param {string} name */
export function showTimesIn(name) {
  zone = name;
  clocks = clocksOf(name);
}

export const shownZone = () => zone;

/** @param {string} timeZone */
function clocksOf(timeZone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const clock = { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  /** @type {Intl.DateTimeFormatOptions} */
  const date = { timeZone, month: 'short', day: 'numeric' };
  return {
    clock: new Intl.DateTimeFormat(undefined, clock),
    seconds: new Intl.DateTimeFormat(undefined, { ...clock, second: '2-digit' }),
    day: new Intl.DateTimeFormat(undefined, { ...date, ...clock }),
    date: new Intl.DateTimeFormat(undefined, date),
    daySeconds: new Intl.DateTimeFormat(undefined, { ...date, ...clock, second: '2-digit' }),
    yearDaySeconds: new Intl.DateTimeFormat(undefined, { ...date, year: 'numeric', ...clock, second: '2-digit' }),
    yearDay: new Intl.DateTimeFormat(undefined, { ...date, year: 'numeric', ...clock }),
    yearDate: new Intl.DateTimeFormat(undefined, { ...date, year: 'numeric' }),
  };
}

/** A null is a number that is not known. @param {number | null} value */
export const number = value => (value === null ? '–' : whole.format(value));
/** @param {number | null} value */
export const compact = value => (value === null ? '–' : (Math.abs(value) < 10_000 ? oneDigit : short).format(value));
/** @param {number} value */
export const signed = value => `${value > 0 ? '+' : value < 0 ? '−' : '±'}${whole.format(Math.abs(value))}`;
/** @param {number} value @param {string} one @param {string} many */
export const counted = (value, one, many) => `${whole.format(value)} ${value === 1 ? one : many}`;
/** @param {Time} time */
export const utc = time => `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/**
 * `form` is 'clock', 'seconds' (with the date if it is not today), 'day' (date and clock) or 'date'. A date of another year has
 * its year: a time without it would be taken for one of this year.
 * @param {Time} at
 * @param {TimeForm} form
 */
export function local(at, form = 'clock') {
  const time = new Date(at);
  return clocks[dated(time.getTime(), form)].format(time);
}

/** @param {number} at @param {TimeForm} form @returns {keyof typeof clocks} */
function dated(at, form) {
  if (form === 'clock' || (form === 'seconds' && isToday(at))) return form;
  const isThisYear = dateAt(at, zone).year === dateAt(serverTime(), zone).year;
  if (form === 'seconds') return isThisYear ? 'daySeconds' : 'yearDaySeconds';
  if (isThisYear) return form;
  return form === 'day' ? 'yearDay' : 'yearDate';
}

/** @param {number} at */
const isToday = at => dayOf(at) === dayOf(serverTime());

/** @param {number} at */
const dayOf = at => JSON.stringify(dateAt(at, zone));

/** The time of day, with the date if it is not today. @param {Time} at */
export function shortTime(at) {
  return local(at, isToday(new Date(at).getTime()) ? 'clock' : 'day');
}

/**
 * A range in words. Both ends have their dates unless both are today.
 * @param {number} from
 * @param {number} to
 */
export function span(from, to) {
  const form = isToday(from) && isToday(to) ? 'clock' : 'day';
  return `${local(from, form)} to ${local(to, form)}`;
}

/** @param {Time | null | undefined} at @param {TimeForm} [form] */
export function timeElement(at, form) {
  if (at === null || at === undefined) return h('span', { class: 'muted' }, 'not known');
  const text = form ? local(at, form) : shortTime(at);
  return h('time', { datetime: new Date(at).toISOString(), title: utc(at) }, text);
}

/** @param {number | null | undefined} ms */
export function duration(ms) {
  if (ms === null || ms === undefined) return 'not known';
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 120_000) return `${oneDigit.format(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${oneDigit.format(ms / 60_000)} min`;
  return `${oneDigit.format(ms / 3_600_000)} h`;
}

/** @param {number} count */
export function bytes(count) {
  return count < 1e9 ? `${Math.round(count / 1e6)} MB` : `${oneDigit.format(count / 1e9)} GB`;
}

/** The value of `<input type="datetime-local">` for a moment. @param {number} ms */
export function inputTime(ms) {
  return wallTime(ms, zone);
}

const countryNames = new Intl.DisplayNames(undefined, { type: 'region', fallback: 'code' });

/** @param {string} code */
export function countryName(code) {
  if (code === 'ZZ') return 'Unknown';
  try {
    return countryNames.of(code) ?? code;
  } catch {
    return code;
  }
}
