/** Numbers and times as people read them: in the viewer's language and in the zone that is looked at, with UTC on hover. */
import { h } from './dom.js';
import { dateAt, ownZone, wallTime } from './zone.js';

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const oneDigit = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

let zone = ownZone;
let clocks = clocksOf(zone);

/** The zone that all times are shown in from now on. */
export function showTimesIn(name) {
  zone = name;
  clocks = clocksOf(name);
}

export const shownZone = () => zone;

function clocksOf(timeZone) {
  const clock = { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  const date = { timeZone, month: 'short', day: 'numeric' };
  return {
    clock: new Intl.DateTimeFormat(undefined, clock),
    seconds: new Intl.DateTimeFormat(undefined, { ...clock, second: '2-digit' }),
    day: new Intl.DateTimeFormat(undefined, { ...date, ...clock }),
    date: new Intl.DateTimeFormat(undefined, date),
  };
}

/** null: not known. */
export const number = value => (value === null ? '–' : whole.format(value));
export const compact = value => (value === null ? '–' : (Math.abs(value) < 10_000 ? oneDigit : short).format(value));
export const signed = value => `${value > 0 ? '+' : value < 0 ? '−' : '±'}${whole.format(Math.abs(value))}`;
export const counted = (value, one, many) => `${whole.format(value)} ${value === 1 ? one : many}`;
export const utc = time => `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** `at`: ISO or epoch ms; `form`: 'clock', 'seconds', 'day' (with the clock) or 'date'. */
export function local(at, form = 'clock') {
  return clocks[form].format(new Date(at));
}

/** With the day where it is not today. */
export function shortTime(at) {
  const ofDay = time => JSON.stringify(dateAt(time, zone));
  return local(at, ofDay(new Date(at)) === ofDay(Date.now()) ? 'clock' : 'day');
}

/** From one to the other: with days for both, unless both are of today. */
export function span(from, to) {
  const dayOf = time => JSON.stringify(dateAt(time, zone));
  const form = dayOf(from) === dayOf(Date.now()) && dayOf(to) === dayOf(from) ? 'clock' : 'day';
  return `${local(from, form)} to ${local(to, form)}`;
}

export function timeElement(at, form) {
  if (at === null || at === undefined) return h('span', { class: 'muted' }, 'not known');
  const text = form ? local(at, form) : shortTime(at);
  return h('time', { datetime: new Date(at).toISOString(), title: utc(at) }, text);
}

export function duration(ms) {
  if (ms === null || ms === undefined) return 'not known';
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 120_000) return `${oneDigit.format(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${oneDigit.format(ms / 60_000)} min`;
  return `${oneDigit.format(ms / 3_600_000)} h`;
}

export function bytes(count) {
  return count < 1e9 ? `${Math.round(count / 1e6)} MB` : `${oneDigit.format(count / 1e9)} GB`;
}

/** For `<input type="datetime-local">`. */
export function inputTime(ms) {
  return wallTime(ms, zone);
}

const countryNames = new Intl.DisplayNames(undefined, { type: 'region', fallback: 'code' });

export function countryName(code) {
  if (code === 'ZZ') return 'Unknown';
  try {
    return countryNames.of(code) ?? code;
  } catch {
    return code;
  }
}
