/**
 * Parses the time of a row. The unit of a number follows from its size: every time from 2001 to 5138 in one unit would
 * be before 1973 or after 5138 in any other. So a number that could be billed has only one meaning.
 */

/** `unit` is what a number was assumed to be in, if it is not the unit of ingest. */
export type RowTime = { readonly time: unknown; readonly unit?: string } | { readonly problem: string };

const units = [
  { unit: 'seconds', from: 1e9, ms: 1_000 },
  { unit: undefined, from: 1e11, ms: 1 },
  { unit: 'microseconds', from: 1e14, ms: 1e-3 },
  { unit: 'nanoseconds', from: 1e17, ms: 1e-6 },
] as const;
const end = 1e20;

/** Numbers may be texts. Logs of web servers have `29/Nov/2026:04:12:31 +0100`. Anything else is left to ingest. */
export function rowTime(value: unknown): RowTime {
  const isNumber = typeof value === 'number' || (typeof value === 'string' && /^\d{1,20}(\.\d{1,9})?$/.test(value));
  if (!isNumber) return { time: typeof value === 'string' ? fromServerLog(value) : value };
  const number = Number(value);
  const unit = units.findLast(({ from }) => number >= from);
  if (!unit || number >= end)
    return { problem: 'is not a time after 2001 in seconds, milliseconds, microseconds or nanoseconds since 1970' };
  const time = Math.floor(number * unit.ms);
  return unit.unit === undefined ? { time } : { time, unit: unit.unit };
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function fromServerLog(text: string): string {
  const found = /^(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d:\d\d:\d\d(?:\.\d{1,9})?) ([+-]\d\d)(\d\d)$/.exec(text);
  const [, day, name = '', year, clock, hours, minutes] = found ?? [];
  const month = months.indexOf(name) + 1;
  return month === 0 ? text : `${year}-${String(month).padStart(2, '0')}-${day}T${clock}${hours}:${minutes}`;
}
