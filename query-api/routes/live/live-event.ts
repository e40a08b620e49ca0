/** What GET /v1/live sends each second. All values are absolute, so a client that missed an event needs only the next. */
import { type Static, Type } from 'typebox';
import {
  changeFields,
  clicksFields,
  countField,
  countFields,
  integerOrNullField,
  pendingFields,
  stateField,
  timeField,
  timeOrNullField,
  watermarkField,
} from '../../http/parameters.ts';

const closed = { additionalProperties: false } as const;

const LiveMinute = Type.Object(
  { start: timeField('When the minute begins.'), ...countFields, state: stateField, ...pendingFields },
  closed,
);

const LiveTop = Type.Object(
  {
    start: timeField('When the minute begins.'),
    state: stateField,
    ...pendingFields,
    ads: Type.Array(
      Type.Object({ rank: Type.Integer({ minimum: 1 }), ad_id: Type.String(), ...clicksFields }, closed),
      { description: 'Ordered by clicks, most first, then by `ad_id`.' },
    ),
  },
  closed,
);

export const LiveChange = Type.Object(
  {
    minute: timeField('The minute that was restated.'),
    ad_id: Type.String(),
    country: Type.String(),
    revision: Type.Integer({ minimum: 1 }),
    job: Type.String({ description: 'The job that changed it, see GET /v1/replays/{id}.' }),
    reason: Type.String({ description: 'Why the job was made: `late`, `split`, `replay`, `reconcile` or `rules`.' }),
    ...changeFields,
    at: timeField('When the count was changed.'),
  },
  closed,
);
export type LiveChange = Static<typeof LiveChange>;

export const LiveEvent = Type.Object(
  {
    at: timeField('When this was read.'),
    tenant: Type.Union([Type.String(), Type.Null()], {
      description: 'The tenant for whose ads alone this is. Null: it is for all ads.',
    }),
    kafka: Type.Enum(['up', 'away'], {
      type: 'string',
      description: '`away`: Kafka did not answer, so it is not known what is unread.',
    }),
    watermark: watermarkField,
    watermark_age_ms: integerOrNullField('Now minus the watermark. Null: there is no watermark yet.'),
    final_until: timeOrNullField('Minutes that end at or before this are final. Null: none is.'),
    lag_records: integerOrNullField(
      'Records of the log that are not counted yet. Null: Kafka did not answer, or the key is for the ads of a tenant.',
    ),
    stalled: Type.Array(
      Type.Object(
        { partition: Type.Integer(), since: timeField('When the broker appended its last counted record.') },
        closed,
      ),
      { description: 'Partitions that are not being counted.' },
    ),
    clicks_per_second: Type.Number({ minimum: 0, description: 'Distinct clicks per second, over the last 5 seconds.' }),
    totals: Type.Union(
      [
        Type.Object(
          {
            received: countField('Lines since the beginning of the log.'),
            counted: countField('Distinct clicks among them.'),
            duplicates: countField('Further copies of counted clicks.'),
            quarantined: countField('Lines that were quarantined with a reason.'),
            gross: countField('All clicks with their copies: duplicates + invalid + net.'),
            invalid: countField('Clicks among `counted` that a rule of invalid traffic leaves out of `net`.'),
            net: Type.Integer({ description: 'counted - invalid, which are the clicks to bill.' }),
          },
          closed,
        ),
        Type.Null(),
      ],
      { description: 'Of all ads. Null: the key is for the ads of a tenant.' },
    ),
    pending_late: countField('Late clicks of all minutes that wait for their restatement.'),
    pending_split: countField(
      'Net clicks of split ads, of all minutes, that may turn out to be invalid in their restatement.',
    ),
    minutes: Type.Array(LiveMinute, {
      description: 'The last five minutes, with the current one, of all ads together.',
    }),
    current: LiveTop,
    last: LiveTop,
    changes: Type.Array(LiveChange, {
      description: 'Restatements that were in no earlier event, oldest first, at most 50.',
    }),
  },
  closed,
);
export type LiveEvent = Static<typeof LiveEvent>;
