/**
 * A row of a log file, and the click it stands for. A row without `event_id` gets one made of the file's name, the
 * row's place in it and its content, so that feeding a file twice, or again from the middle, counts nothing twice.
 * For the same reason a row must tell its time: a time made up here would be another one at the next try.
 */
import { createHash } from 'node:crypto';
import { parseTime } from '../click.ts';

export interface Row {
  /** Counts from 1. */
  readonly line: number;
  /** The row's bytes in its file: `[start, end)`, the newline included. */
  readonly start: number;
  readonly end: number;
  readonly raw: string;
  /** Undefined: the row could not be read, and `problem` says why. */
  readonly fields: Readonly<Record<string, unknown>> | undefined;
  readonly problem?: string;
}

export type Prepared =
  | { readonly ok: true; readonly json: string }
  | { readonly ok: false; readonly code: string; readonly message: string };

export interface PrepareOptions {
  /** Base name of the file. */
  readonly fileName: string;
  /** Epoch ms to put in place of the row's own time, if any. */
  readonly clickedAt?: number | undefined;
}

export function prepareRow(row: Row, { fileName, clickedAt }: PrepareOptions): Prepared {
  const { fields } = row;
  if (fields === undefined) return { ok: false, code: 'unreadable', message: row.problem ?? 'the row cannot be read' };
  if ((fields['clicked_at'] ?? undefined) === undefined) {
    return {
      ok: false,
      code: 'missing_field',
      message: 'clicked_at: must be given, as a row fed again must tell the same time',
    };
  }
  const eventId = fields['event_id'] ?? eventIdOf(row, fileName);
  return {
    ok: true,
    json: JSON.stringify({ ...fields, event_id: eventId, clicked_at: clickedAt ?? fields['clicked_at'] }),
  };
}

/** Epoch ms of the row's own time; undefined if it has none that can be read. */
export function timeOf(row: Row): number | undefined {
  return parseTime(row.fields?.['clicked_at']);
}

function eventIdOf({ start, raw }: Row, fileName: string): string {
  return createHash('sha256').update(`${fileName}\n${start}\n${raw}`).digest('hex').slice(0, 32);
}
