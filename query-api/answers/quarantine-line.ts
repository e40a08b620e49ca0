/** Shows a line of the quarantine as JSON or as a row of CSV. */
import { type Static, type TSchema, Type } from 'typebox';
import { csvLine } from '../../infra/csv.ts';
import { quarantineColumns } from '../../ingest/feed/exported-columns.ts';
import { isoOf, timeField, timeOrNullField } from '../http/parameters.ts';
import { type JudgedLine, lineOutcomes } from '../store/quarantine.ts';
import { headOf } from '../store/row-format.ts';

export const outcomeField = Type.Enum([...lineOutcomes], {
  type: 'string',
  description:
    'What became of it. `restated`: it came too late, and a restatement has counted it since or has found that it is a copy. `waiting`: it waits for its restatement. `not_counted`: it is in no count, and stays so unless it is mended and posted again.',
});

/** `raw` describes how much of the line the answer contains. */
export function quarantineLine<Raw extends TSchema>(raw: Raw) {
  return Type.Object(
    {
      partition: Type.Integer({ description: 'The partition of the log.' }),
      offset: Type.Integer({ description: 'The offset of the record that contained it.' }),
      line: Type.Integer({ description: 'Its number in that record, from 0.' }),
      reason: Type.String(),
      detail: Type.String({ description: 'What exactly is wrong.' }),
      appended_at: timeField('When the broker appended it.'),
      ad_id: Type.String({ description: 'Empty: it could not be read.' }),
      event_id: Type.String({ description: 'Empty: it could not be read.' }),
      clicked_at: timeOrNullField('As the client sent it. Null: it could not be read.'),
      raw,
      outcome: outcomeField,
    },
    { additionalProperties: false },
  );
}

export const WholeLine = quarantineLine(Type.String({ description: 'The whole line as it came.' }));
export type QuarantineLine = Static<typeof WholeLine>;

export function shown({ clicked_at, appended_at, ...line }: JudgedLine): QuarantineLine {
  // A malformed line may contain any number as its time.
  const isTime = clicked_at > 0 && clicked_at < 8.64e15;
  return { ...line, appended_at: isoOf(appended_at), clicked_at: isTime ? isoOf(clicked_at) : null };
}

export const csvHead = headOf(quarantineColumns);

export function csvRow(line: QuarantineLine): string {
  return csvLine(quarantineColumns.map(column => line[column]));
}
