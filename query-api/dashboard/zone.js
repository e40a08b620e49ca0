/**
 * The calendar of a time zone, by Intl alone: where days begin, what its clock shows, and which moments a time on its clock
 * can mean. Days begin where the server begins them (`query-api/http/time-zone.ts`); a property test holds the two equal.
 */
const minuteMs = 60_000;
const dayMs = 86_400_000;
const formats = new Map();

export const ownZone = modernName(Intl.DateTimeFormat().resolvedOptions().timeZone);

/** Those that can be chosen. Browsers list some by names that were given up long ago. */
export function zoneNames() {
  const listed = typeof Intl.supportedValuesOf === 'function' ? Intl.supportedValuesOf('timeZone') : [];
  return [...new Set(['UTC', ownZone, ...listed.map(modernName)])].filter(isZone).sort();
}

export function isZone(name) {
  try {
    return Boolean(formatOf(name));
  } catch {
    return false;
  }
}

/** Offset from UTC in ms at a moment in epoch ms. */
export function offsetAt(at, zone) {
  const { year, month, day, hour, minute, second } = partsAt(at, zone);
  const local = Date.UTC(year, month - 1, day, hour, minute, second);
  return Math.round((local - Math.floor(at / 1_000) * 1_000) / minuteMs) * minuteMs;
}

/** `{ year, month, day }`; months from 1. */
export function dateAt(at, zone) {
  const { year, month, day } = partsAt(at, zone);
  return { year, month, day };
}

/** When the date is first reached. Days and months beyond the end roll over: day 0 is the last of the month before. */
export function startOfDay({ year, month, day }, zone) {
  const midnight = Date.UTC(year, month - 1, day);
  for (const { from, to, offset } of spansAround(midnight, zone)) {
    const at = Math.max(from, midnight - offset);
    if (at < to) return at;
  }
  return midnight;
}

/** As `<input type="datetime-local">` has it: what the clock of the zone shows. */
export function wallTime(at, zone) {
  return new Date(at + offsetAt(at, zone)).toISOString().slice(0, 16);
}

/** The moments at which the clock shows this: none where it is put forward over it, two where it is put back. */
export function momentsOf(text, zone) {
  const [shown] = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.exec(text) ?? [];
  // V8 makes a date of nearly any text.
  const local = shown === undefined ? Number.NaN : Date.parse(`${shown}:00Z`);
  if (!Number.isFinite(local)) return [];
  const found = spansAround(local, zone).flatMap(({ from, to, offset }) => {
    const at = local - offset;
    return at >= from && at < to ? [at] : [];
  });
  return [...new Set(found)];
}

/** `UTC+05:30` */
export function offsetText(at, zone) {
  const minutes = offsetAt(at, zone) / minuteMs;
  const two = value => String(value).padStart(2, '0');
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? '−' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function partsAt(at, zone) {
  return Object.fromEntries(
    formatOf(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  );
}

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

/** Spans of one offset, for more than a day around a time on a local clock. Zones change their clock at most once in half a day. */
function spansAround(local, zone) {
  const [begin, end] = [local - 27 * 3_600_000, local + 27 * 3_600_000];
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

/** The first whole minute with the later offset. */
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

function modernName(name) {
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
