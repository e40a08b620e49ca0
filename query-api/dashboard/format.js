/** Numbers and times as people read them: in the viewer's language and zone, with UTC on hover. */
import { h } from './dom.js';

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const oneDigit = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const seconds = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const dayAndClock = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** null: not known. */
export const number = value => (value === null ? '–' : whole.format(value));
export const compact = value => (value === null ? '–' : (Math.abs(value) < 10_000 ? oneDigit : short).format(value));
export const signed = value => `${value > 0 ? '+' : value < 0 ? '−' : '±'}${whole.format(Math.abs(value))}`;
export const counted = (value, one, many) => `${whole.format(value)} ${value === 1 ? one : many}`;
export const utc = time => `${new Date(time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

/** `at`: ISO or epoch ms; `form`: 'clock', 'seconds' or 'day'. */
export function local(at, form = 'clock') {
  return { clock, seconds, day: dayAndClock }[form].format(new Date(at));
}

/** With the day where it is not today. */
export function shortTime(at) {
  const date = new Date(at);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : dayAndClock.format(date);
}

export function timeElement(at, form) {
  if (at === null || at === undefined) return h('span', { class: 'muted' }, 'unknown');
  const text = form ? local(at, form) : shortTime(at);
  return h('time', { datetime: new Date(at).toISOString(), title: utc(at) }, text);
}

export function duration(ms) {
  if (ms === null || ms === undefined) return 'unknown';
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
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
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
