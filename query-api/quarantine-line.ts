/** A line in quarantine as it is told: as JSON, or as a row of CSV. */
import { type Static, type TSchema, Type } from 'typebox';
import { isoOf, timeField } from './parameters.ts';
import type { QuarantineSample } from './quarantine-queries.ts';

/** `raw` describes how much of the line is told. */
export function quarantineLine<Raw extends TSchema>(raw: Raw) {
  return Type.Object(
    {
      partition: Type.Integer({ description: 'of the log' }),
      offset: Type.Integer({ description: 'of the record that held it' }),
      line: Type.Integer({ description: 'of that record, from 0' }),
      reason: Type.String(),
      detail: Type.String({ description: 'what exactly is wrong' }),
      appended_at: timeField("the broker's time"),
      ad_id: Type.String({ description: 'empty: not readable' }),
      event_id: Type.String({ description: 'empty: not readable' }),
      clicked_at: Type.Union([timeField('as sent'), Type.Null()], { description: 'null: not readable' }),
      raw,
    },
    { additionalProperties: false },
  );
}

export const WholeLine = quarantineLine(Type.String({ description: 'the line as it came, whole' }));
export type QuarantineLine = Static<typeof WholeLine>;

export function shown({ clicked_at, appended_at, ...line }: QuarantineSample): QuarantineLine {
  // A line may bear any number for a time.
  const isTime = clicked_at > 0 && clicked_at < 8.64e15;
  return { ...line, appended_at: isoOf(appended_at), clicked_at: isTime ? isoOf(clicked_at) : null };
}

const columns = Object.keys(WholeLine.properties) as (keyof QuarantineLine)[];

/** RFC 4180, with a line of names. */
export const csvHead = `${columns.join(',')}\r\n`;

export function csvRow(line: QuarantineLine): string {
  return `${columns.map(column => csvCell(line[column])).join(',')}\r\n`;
}

/**
 * These lines are what others have sent, and spreadsheets run what begins like a formula: such text gets an apostrophe
 * before it, as they understand it. JSON has it as it came.
 */
function csvCell(value: string | number | null): string {
  if (typeof value !== 'string') return value === null ? '' : String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
