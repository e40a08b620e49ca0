/** A line in quarantine as it is answered: as JSON, or as a row of CSV. */
import { type Static, type TSchema, Type } from 'typebox';
import { csvLine } from '../../infra/csv.ts';
import { quarantineColumns } from '../../ingest/feed/exported-columns.ts';
import { isoOf, timeField } from '../http/parameters.ts';
import { type JudgedLine, lineOutcomes } from '../store/quarantine.ts';
import { headOf } from '../store/row-format.ts';

export const outcomeField = Type.Enum([...lineOutcomes], {
  type: 'string',
  description:
    'what has become of it: `restated`: it came too late, and a restatement has counted it since, or found that it is a copy; `waiting`: it waits for its restatement; `not_counted`: it is in no count, and will be in none unless it is mended and posted again',
});

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
      outcome: outcomeField,
    },
    { additionalProperties: false },
  );
}

export const WholeLine = quarantineLine(Type.String({ description: 'the line as it came, whole' }));
export type QuarantineLine = Static<typeof WholeLine>;

export function shown({ clicked_at, appended_at, ...line }: JudgedLine): QuarantineLine {
  // A line may bear any number for a time.
  const isTime = clicked_at > 0 && clicked_at < 8.64e15;
  return { ...line, appended_at: isoOf(appended_at), clicked_at: isTime ? isoOf(clicked_at) : null };
}

export const csvHead = headOf(quarantineColumns);

export function csvRow(line: QuarantineLine): string {
  return csvLine(quarantineColumns.map(column => line[column]));
}
