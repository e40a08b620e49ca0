/** GET /v1/quarantine: what was not counted, by reason, with the newest lines of each. */
import { Type } from 'typebox';
import type { Http } from '../../infra/http.ts';
import { adIdPattern } from '../../ingest/click.ts';
import { cursorParameter, cursorsOf, nextCursorField, pageOf } from '../cursor.ts';
import { finalityOf } from '../finality.ts';
import { countField, isoOf, isoOrNull, problems, timeField, watermarkField } from '../parameters.ts';
import { type QuarantineSample, rawShown } from '../quarantine-queries.ts';
import type { RouteDeps } from '../route-deps.ts';

const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Where the last line of a page stands: append time in epoch ms, partition, offset, line. */
const cursors = cursorsOf('quarantine', Type.Tuple([whole, whole, whole, whole]));

export function routeQuarantine(http: Http, { queries, quarantine }: RouteDeps): void {
  http.get('/v1/quarantine', { schema }, async (request, reply) => {
    const { limit = 20, cursor, ...question } = request.query;
    const { reason, ad_id: adId } = question;
    const after = cursors.read(cursor, question);
    const { watermark } = finalityOf(await queries.progress());
    const [reasons, lines] = await Promise.all([
      quarantine.byReason({ adId }),
      quarantine.samples({ reason, adId }, limit + 1, after),
    ]);
    const page = pageOf(lines, limit, last =>
      cursors.write([last.appended_at, last.partition, last.offset, last.line], question),
    );
    reply.header('cache-control', 'no-cache');
    return {
      watermark: isoOrNull(watermark),
      reasons,
      lines: page.rows.map(shown),
      next_cursor: page.next_cursor,
    };
  });
}

function shown({ clicked_at, appended_at, ...line }: QuarantineSample) {
  // A line may bear any number for a time.
  const isTime = clicked_at > 0 && clicked_at < 8.64e15;
  return { ...line, appended_at: isoOf(appended_at), clicked_at: isTime ? isoOf(clicked_at) : null };
}

const schema = {
  tags: ['pipeline'],
  operationId: 'getQuarantine',
  summary: 'Lines that were not counted: how many by reason, and the newest of them',
  description:
    'Nothing that came into the log is dropped: what cannot be counted is kept here, whole, with the reason. Lines that came too late are counted all the same, by a restatement of their minute.',
  querystring: Type.Object(
    {
      reason: Type.Optional(
        Type.String({
          pattern: '^[a-z_]{1,40}$',
          description: 'only lines with this reason: `malformed`, `future`, `too_late`',
          examples: ['too_late'],
        }),
      ),
      ad_id: Type.Optional(Type.String({ pattern: adIdPattern.source, description: 'only of this ad' })),
      limit: Type.Optional(Type.Integer({ default: 20, minimum: 1, maximum: 1_000, description: 'lines of a page' })),
      cursor: cursorParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        watermark: watermarkField,
        reasons: Type.Array(
          Type.Object(
            { reason: Type.String(), lines: countField('lines that are still kept') },
            { additionalProperties: false },
          ),
          { description: 'most lines first, whatever `reason` was asked for' },
        ),
        lines: Type.Array(
          Type.Object(
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
              raw: Type.String({ description: `the line as it came, its first ${rawShown} characters` }),
            },
            { additionalProperties: false },
          ),
          { description: 'newest first' },
        ),
        next_cursor: nextCursorField,
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
