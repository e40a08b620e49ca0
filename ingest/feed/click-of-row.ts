/**
 * Turns an entry of a file into the click that is posted for it, or into the reason why there is none.
 *
 * A row without `event_id` gets one (row-ids.ts), so that feeding a file twice, or again from the middle, counts
 * nothing twice. For the same reason a row must contain its time, because a time invented here would be different at
 * the next attempt.
 */
import { parseTime } from '../click.ts';
import type { Columns, Entry } from './format.ts';
import type { Mapping } from './mapping.ts';
import type { RowIds } from './row-ids.ts';

export type ClickOfRow =
  | { readonly kind: 'none' }
  | { readonly kind: 'skipped'; readonly rule: string }
  | { readonly kind: 'rejected'; readonly code: string; readonly message: string }
  | {
      readonly kind: 'click';
      readonly json: string;
      readonly fields: Columns;
      /** Epoch ms of the row's own time, if it can be read. */
      readonly timeMs: number | undefined;
      readonly hasMadeId: boolean;
    };

export interface RowOptions {
  readonly mapping: Mapping;
  readonly ids: RowIds;
  /** Epoch ms that replaces the row's own time, if it is given. */
  readonly now: (() => number) | undefined;
  /** Is called with the unit that a time was assumed to have, and with the result. */
  readonly onUnit: (unit: string, time: unknown) => void;
}

export function clickOfRow({ row, text }: Entry, { mapping, ids, now, onUnit }: RowOptions): ClickOfRow {
  if (row === undefined) return { kind: 'none' };
  if ('problem' in row) return { kind: 'rejected', code: 'unreadable', message: row.problem };
  const mapped = mapping.map(row.columns);
  if (mapped.kind === 'skipped') return mapped;
  if (mapped.kind === 'unreadable')
    return { kind: 'rejected', code: 'invalid_field', message: withValue(mapped.message, row.columns, mapping) };
  const { fields, unit } = mapped;
  if (unit) onUnit(unit, fields['clicked_at']);
  if (fields['clicked_at'] === undefined) {
    const message = 'clicked_at: must be given, because a row that is fed again must have the same time';
    return { kind: 'rejected', code: 'missing_field', message };
  }
  const hasMadeId = fields['event_id'] === undefined;
  const timeMs = parseTime(fields['clicked_at']);
  const clicked_at = timeMs === undefined ? fields['clicked_at'] : (now?.() ?? fields['clicked_at']);
  const click = { ...fields, event_id: fields['event_id'] ?? ids.idOf(text), clicked_at };
  return { kind: 'click', json: JSON.stringify(click), fields, timeMs, hasMadeId };
}

const maxValueLength = 60;

/**
 * `ad_id: must be …` → `ad_id (column banner): must be …: it is "…"`, with only those parts that are not in the message
 * already.
 */
export function withValue(message: string, columns: Columns, mapping: Mapping): string {
  const [, field, rule] = /^(\w+): (.*)$/s.exec(message) ?? [];
  if (field === undefined || rule === undefined) return message;
  const column = mapping.columnOf(field);
  const value = columns[column] ?? columns[field];
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const given = text === undefined || message.includes(text) ? '' : ` (it is ${JSON.stringify(cut(text))})`;
  return `${field}${column === field ? '' : ` (column ${column})`}: ${rule}${given}`;
}

function cut(text: string): string {
  return text.length > maxValueLength ? `${text.slice(0, maxValueLength)}…` : text;
}
