/** GET /v1/clicks/{event_id}: where did my click go. */

import { Type } from 'typebox';
import { brokenRule } from '../../../infra/broken-rule.ts';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import { adIdPattern, limits } from '../../../ingest/click.ts';
import { type Copy, trailOf } from '../../answers/click-trail.ts';
import { countField, isoOf, isoOrNull, problems, stateField, timeField } from '../../http/parameters.ts';
import { placeOf, type Routing } from '../../log/hot-ad-rules.ts';
import { copiesListed, type QuarantinedLine, type RawClick, type Restating } from '../../store/click-copies.ts';
import { type Finality, finalityOf, partitionsOf, type State, stateAt } from '../../store/finality.ts';
import type { Store } from '../../store/open-store.ts';
import { minuteMs } from '../../time/time-range.ts';

export interface ClickAuditDeps extends Pick<Store, 'audit' | 'queries'> {
  /** Which ads are split, over how many partitions; undefined: Kafka does not answer. */
  readonly routing: () => Promise<Routing | undefined>;
}

export function routeClickAudit(http: Http, deps: ClickAuditDeps): void {
  const { queries, audit } = deps;
  http.get('/v1/clicks/:event_id', { schema, config: { scope: 'read:personal' } }, async (request, reply) => {
    const { event_id } = request.params;
    const { ad_id } = request.query;
    const progress = await queries.progress();
    const raw = await audit.rawClicks(event_id, ad_id);
    const quarantined = await audit.quarantinedLines(event_id, ad_id);
    reply.header('cache-control', 'no-cache');
    if (raw.rows.length + quarantined.rows.length === 0) {
      const ofAd = ad_id === undefined ? '' : ` of ad ${ad_id}`;
      const rule = `no click${ofAd} with this id was accepted, or it is no longer kept`;
      throw new Problem(404, 'not_found', brokenRule('event_id', event_id, rule));
    }
    const restated = await restatementsOf(raw.rows, quarantined.rows, deps);
    const place = await placing(event_id, partitionsOf(progress), deps);
    const copies = trailOf(raw.rows, quarantined.rows, restated, place);
    const finality = finalityOf(progress);
    return {
      event_id,
      ads: [...Map.groupBy(copies, copy => copy.ad_id)].map(([ad_id, of]) => ({ ad_id, copies: of.length })),
      is_complete: !raw.isCut && !quarantined.isCut,
      copies: copies.map(copy => shown(copy, finality, restated)),
    };
  });
}

/** Null where it cannot be told: nothing is counted yet, or Kafka does not say which ads were split. */
async function placing(eventId: string, partitions: number, { routing }: ClickAuditDeps) {
  const known = await routing();
  return ({ ad_id: adId, clicked_at: clickedAt }: RawClick): number | null =>
    known ? placeOf({ adId, eventId, clickedAt }, known, partitions) : null;
}

/** Of all ads and minutes that the copies have. */
async function restatementsOf(
  raw: readonly RawClick[],
  quarantined: readonly QuarantinedLine[],
  { audit }: ClickAuditDeps,
): Promise<Restating[]> {
  const adIds = new Set<string>();
  const minutes = new Set<number>();
  for (const { ad_id, clicked_at } of [...raw, ...quarantined]) {
    const minute = clicked_at - (clicked_at % minuteMs);
    if (ad_id === '' || minute < 0 || minute >= endOfTimeMs) continue;
    adIds.add(ad_id);
    minutes.add(minute);
  }
  return await audit.restatements([...adIds], [...minutes]);
}

/** ClickHouse's DateTime ends in 2106; a click in quarantine may bear any time. */
const endOfTimeMs = 4_294_900_000_000;

function shown(copy: Copy, finality: Finality, restated: readonly Restating[]) {
  const isRestated = restated.some(
    row => row.minute === copy.minute && row.ad_id === copy.ad_id && row.country === copy.country,
  );
  const state: State = stateAt(finality, copy.minute + minuteMs, isRestated);
  return {
    ...copy,
    received_at: isoOrNull(copy.received_at),
    clicked_at: timeOrNull(copy.clicked_at),
    minute: timeOrNull(copy.minute),
    state,
  };
}

function timeOrNull(ms: number): string | null {
  return ms > 0 && ms < 8.64e15 ? isoOf(ms) : null;
}

const orNull = (description: string) => Type.Union([timeField(description), Type.Null()]);

const strict = { additionalProperties: false };

const schema = {
  tags: ['clicks'],
  operationId: 'getClick',
  summary: 'Where a click went: each accepted copy of it, and what became of it',
  description: `A click is its ad and its event id: where several ads have the same id, each has a click of its own, and all are listed. Found as long as the raw click is kept, which is 35 days. At most ${copiesListed.ofAd} copies of an ad and ${copiesListed.ofAll} in all.`,
  params: Type.Object({
    event_id: Type.String({ minLength: 1, maxLength: limits.eventIdLength, description: "the click's event_id" }),
  }),
  querystring: Type.Object(
    { ad_id: Type.Optional(Type.String({ pattern: adIdPattern.source, description: 'only of this ad' })) },
    strict,
  ),
  response: {
    200: Type.Object(
      {
        event_id: Type.String(),
        ads: Type.Array(
          Type.Object({ ad_id: Type.String(), copies: countField('those of `copies` that are of this ad') }, strict),
          { description: 'the ads that have this id, each a click of its own' },
        ),
        is_complete: Type.Boolean({ description: 'false: there are more copies than are listed; ask for one `ad_id`' }),
        copies: Type.Array(
          Type.Object(
            {
              click_id: Type.String({ description: 'of the accepted copy' }),
              ad_id: Type.String(),
              country: Type.String(),
              received_at: orNull('when ingest had it; null: not known'),
              clicked_at: orNull('event time'),
              minute: orNull('the minute it counts in'),
              partition: Type.Union([Type.Integer(), Type.Null()], { description: 'of the log' }),
              outcome: Type.Enum(['counted', 'duplicate', 'quarantined', 'restated'], {
                type: 'string',
                description: '`restated`: it came too late, and a job has counted it since',
              }),
              reason: Type.Union([Type.String(), Type.Null()], { description: 'why it was quarantined' }),
              job: Type.Union([Type.String(), Type.Null()], { description: 'that counted it' }),
              state: stateField,
            },
            { additionalProperties: false },
          ),
          { description: 'ad by ad; of each, those that the stream took first' },
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
