/**
 * The calendar of a time zone, with Intl only: when days begin, what the clock of the zone shows, and which moments a time on
 * that clock can mean. Days begin when they begin for the server (`query-api/http/time-zone.ts`); a property test checks that.
 */

/** @typedef {{ readonly year: number, readonly month: number, readonly day: number }} CalendarDay  January is month 1. */

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

export const ownZone = modernName(Intl.DateTimeFormat().resolvedOptions().timeZone);

/** The zones that can be chosen. Browsers list some of them by names that are out of use. */
export function zoneNames() {
  const listed = typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [];
  return [...new Set(['UTC', ownZone, ...listed.map(modernName)])].filter(isZone).sort();
}

/** @param {string} name */
export function isZone(name) {
  try {
    return Boolean(formatOf(name));
  } catch {
    return false;
  }
}

/** The offset from UTC in ms at a moment in epoch ms. @param {number} at @param {string} zone */
export function offsetAt(at, zone) {
  const { year, month, day, hour, minute, second } = partsAt(at, zone);
  const local = Date.UTC(year, month - 1, day, hour, minute, second);
  return Math.round((local - Math.floor(at / 1_000) * 1_000) / minuteMs) * minuteMs;
}

/** @param {number} at @param {string} zone @returns {CalendarDay} */
export function dateAt(at, zone) {
  const { year, month, day } = partsAt(at, zone);
  return { year, month, day };
}

/**
 * The moment at which a date begins. Days and months beyond the end roll over: day 0 is the last day of the month before.
 * @param {CalendarDay} date
 * @param {string} zone
 */
export function startOfDay({ year, month, day }, zone) {
  const midnight = Date.UTC(year, month - 1, day);
  for (const { from, to, offset } of spansAround(midnight, zone)) {
    const at = Math.max(from, midnight - offset);
    if (at < to) return at;
  }
  return midnight;
}

/**
 * What the clock of the zone shows at a moment, in the form of `<input type="datetime-local">`.
 * @param {number} at
 * @param {string} zone
 */
export function wallTime(at, zone) {
  return new Date(at + offsetAt(at, zone)).toISOString().slice(0, 16);
}

/**
 * The moments at which the clock shows this time. There are none if the clock is put forward over it, and two if it is put back.
 * @param {string} text
 * @param {string} zone
 */
export function momentsOf(text, zone) {
  const [shown] = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.exec(text) ?? [];
  // Date.parse accepts nearly any text in V8, so the form is checked first.
  const local = shown === undefined ? Number.NaN : Date.parse(`${shown}:00Z`);
  if (!Number.isFinite(local)) return [];
  const found = spansAround(local, zone).flatMap(({ from, to, offset }) => {
    const at = local - offset;
    return at >= from && at < to ? [at] : [];
  });
  return [...new Set(found)];
}

/**
 * A moment as RFC 3339 with the offset of the zone, for example `2026-03-01T10:00:00+05:30`. An error of the API repeats the
 * time that it was given, so the viewer finds the time on the clock of the chosen zone in it.
 * @param {number} at
 * @param {string} zone
 */
export function isoIn(at, zone) {
  return `${wallTime(at, zone)}:00${offsetText(at, zone).slice('UTC'.length).replace('−', '-')}`;
}

/** `UTC+05:30` @param {number} at @param {string} zone */
export function offsetText(at, zone) {
  const minutes = offsetAt(at, zone) / minuteMs;
  /** @param {number} value */
  const two = value => String(value).padStart(2, '0');
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? '−' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** @param {number} at @param {string} zone */
function partsAt(at, zone) {
  const parts = Object.fromEntries(
    formatOf(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  );
  return /** @type {Record<'year' | 'month' | 'day' | 'hour' | 'minute' | 'second', number>} */ (parts);
}

/** @param {string} zone */
function formatOf(zone) {
  const known = formats.get(zone);
  if (known) return known;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  formats.set(zone, format);
  return format;
}

/**
 * The spans with one offset each, for more than a day around a time on a local clock. No zone changes its clock twice within
 * half a day.
 * @param {number} local
 * @param {string} zone
 */
function spansAround(local, zone) {
  const [begin, end] = [local - 27 * 3_600_000, local + 27 * 3_600_000];
  /** @type {{ from: number, to: number, offset: number }[]} */
  const spans = [];
  let from = begin;
  let offset = offsetAt(begin, zone);
  for (let at = begin; at < end; at += dayMs / 2) {
    const next = Math.min(end, at + dayMs / 2);
    if (offsetAt(next, zone) === offset) continue;
    const change = changeBetween(at, next, zone);
    spans.push({ from, to: change, offset });
    from = change;
    offset = offsetAt(next, zone);
  }
  return [...spans, { from, to: end, offset }];
}

/** The first whole minute that has the later offset. @param {number} before @param {number} after @param {string} zone */
function changeBetween(before, after, zone) {
  let [low, high] = [Math.floor(before / minuteMs), Math.ceil(after / minuteMs)];
  const offset = offsetAt(low * minuteMs, zone);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle * minuteMs, zone) === offset) low = middle;
    else high = middle;
  }
  return high * minuteMs;
}

/** @param {string} name */
function modernName(name) {
  /** @type {Readonly<Record<string, string>>} */
  const known = {
    'Asia/Calcutta': 'Asia/Kolkata',
    'Asia/Katmandu': 'Asia/Kathmandu',
    'Asia/Saigon': 'Asia/Ho_Chi_Minh',
    'Asia/Rangoon': 'Asia/Yangon',
    'Europe/Kiev': 'Europe/Kyiv',
    'America/Godthab': 'America/Nuuk',
    'America/Buenos_Aires': 'America/Argentina/Buenos_Aires',
    'Atlantic/Faeroe': 'Atlantic/Faroe',
  };
  const modern = known[name] ?? name;
  return modern === name || isZone(modern) ? modern : name;
}
