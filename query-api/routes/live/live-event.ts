/** What GET /v1/live sends each second: everything absolute, so that whoever missed one event needs only the next. */
import { type Static, Type } from 'typebox';
import {
  countField,
  countFields,
  integerOrNullField,
  pendingLateField,
  stateField,
  timeField,
  timeOrNullField,
  watermarkField,
} from '../../http/parameters.ts';

const closed = { additionalProperties: false } as const;

const LiveMinute = Type.Object(
  { start: timeField('the minute'), ...countFields, state: stateField, pending_late: pendingLateField },
  closed,
);

const LiveTop = Type.Object(
  {
    start: timeField('the minute'),
    state: stateField,
    pending_late: pendingLateField,
    ads: Type.Array(
      Type.Object(
        { rank: Type.Integer({ minimum: 1 }), ad_id: Type.String(), count: countField('distinct clicks') },
        closed,
      ),
      { description: 'most clicks first; equal counts in the order of ad_id' },
    ),
  },
  closed,
);

export const LiveChange = Type.Object(
  {
    minute: timeField('the minute'),
    ad_id: Type.String(),
    country: Type.String(),
    revision: Type.Integer({ minimum: 1 }),
    job: Type.String({ description: 'GET /v1/replays/{job}' }),
    reason: Type.String({ description: '`late`, `replay` or `reconcile`' }),
    before: countField('clicks before'),
    after: countField('clicks after'),
    at: timeField('when'),
  },
  closed,
);
export type LiveChange = Static<typeof LiveChange>;

export const LiveEvent = Type.Object(
  {
    at: timeField('when this was read'),
    kafka: Type.Enum(['up', 'away'], { type: 'string', description: '`away`: what is unread is not known' }),
    watermark: watermarkField,
    watermark_age_ms: integerOrNullField('lag in event time'),
    final_until: timeOrNullField('minutes that end at or before this are final'),
    lag_records: integerOrNullField('records of the log that are not counted yet; null: Kafka did not answer'),
    stalled: Type.Array(
      Type.Object(
        { partition: Type.Integer(), since: timeField('when the broker took its last counted record') },
        closed,
      ),
      { description: 'partitions that are not being counted' },
    ),
    clicks_per_second: Type.Number({ minimum: 0, description: 'distinct clicks counted, of the last 5 seconds' }),
    totals: Type.Object(
      {
        received: countField('lines since the beginning of the log'),
        counted: countField('distinct clicks among them'),
        duplicates: countField('further copies of counted clicks'),
        quarantined: countField('lines set aside with a reason'),
      },
      closed,
    ),
    pending_late: countField('late clicks of any minute that wait for their restatement'),
    minutes: Type.Array(LiveMinute, { description: 'the last five, with the running one, of all ads together' }),
    current: LiveTop,
    last: LiveTop,
    changes: Type.Array(LiveChange, {
      description: 'restatements that were not told yet, oldest first, at most 50',
    }),
  },
  closed,
);
export type LiveEvent = Static<typeof LiveEvent>;
