/** GET /v1/clicks/{event_id}: answers what became of a click. */

import { Type } from 'typebox';
import { brokenRule } from '../../../infra/broken-rule.ts';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import { adIdPattern, limits } from '../../../ingest/click.ts';
import { facts, factsIn } from '../../../ingest/validity/facts.ts';
import { trailOf } from '../../answers/click-trail.ts';
import { type JudgedCopy, validityOf } from '../../answers/click-validity.ts';
import { countField, isoOf, isoOrNull, problems, stateField, timeOrNullField } from '../../http/parameters.ts';
import type { StoreFor } from '../../http/store-for.ts';
import { placeOf, type Routing } from '../../log/hot-ad-rules.ts';
import type { AdStore } from '../../store/ad-store.ts';
import { adClicksRead, cellClicksRead } from '../../store/cell-clicks.ts';
import { copiesListed, type QuarantinedLine, type RawClick, type Restating } from '../../store/click-copies.ts';
import { type Finality, finalityOf, partitionsOf, type State, stateAt } from '../../store/finality.ts';
import { minuteMs } from '../../time/time-range.ts';

export interface ClickAuditDeps {
  readonly storeFor: StoreFor;
}

export function routeClickAudit(http: Http, { storeFor }: ClickAuditDeps): void {
  http.get(
    '/v1/clicks/:event_id',
    { schema, config: { scope: 'read:personal', tenants: 'limited' } },
    async (request, reply) => {
      const store = storeFor(request);
      const { queries, audit } = store;
      const { event_id } = request.params;
      const { ad_id } = request.query;
      const progress = await queries.progress();
      const raw = await audit.rawClicks(event_id, ad_id);
      const quarantined = await audit.quarantinedLines(event_id, ad_id);
      reply.header('cache-control', 'no-cache');
      if (raw.rows.length + quarantined.rows.length === 0) {
        const ofAd = ad_id === undefined ? '' : ` of ad ${ad_id}`;
        const rule = `ClickHouse has no click${ofAd} with this id`;
        throw new Problem(404, 'not_found', brokenRule('event_id', event_id, rule, notFoundBecause));
      }
      const restated = await restatementsOf(raw.rows, quarantined.rows, store);
      const routing = await store.routing();
      const place = placing(event_id, partitionsOf(progress), routing);
      const rulesOf = (version: number) => routing?.versions.find(known => known.version === version)?.rules;
      const trail = trailOf(raw.rows, quarantined.rows, restated, place);
      const isCutOf = (adId: string) => raw.isCutOf(adId) || quarantined.isCutOf(adId);
      const copies = await validityOf(event_id, trail, { cells: store.cells, rulesOf, isCutOf });
      const finality = finalityOf(progress);
      return {
        event_id,
        ads: [...Map.groupBy(copies, copy => copy.ad_id)].map(([ad_id, of]) => ({ ad_id, copies: of.length })),
        is_complete: !raw.isCut && !quarantined.isCut,
        copies: copies.map(copy => shown(copy, finality, restated)),
      };
    },
  );
}

const notFoundBecause =
  'none was accepted, or it is not stored yet (GET /v1/status says how many records are unread), or it is no longer kept';

/**
 * Returns a function that finds a click's partition. It is null when nothing has been counted yet, or when Kafka does not
 * say which ads were split.
 */
function placing(eventId: string, partitions: number, known: Routing | undefined) {
  return ({ ad_id: adId, clicked_at: clickedAt }: RawClick): number | null =>
    known ? placeOf({ adId, eventId, clickedAt }, known, partitions) : null;
}

/** Returns the restatements of all ads and minutes of the copies. */
async function restatementsOf(
  raw: readonly RawClick[],
  quarantined: readonly QuarantinedLine[],
  { audit }: Pick<AdStore, 'audit'>,
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

/** ClickHouse's DateTime ends in 2106. A click in quarantine may contain any time. */
const endOfTimeMs = 4_294_900_000_000;

function shown(copy: JudgedCopy, finality: Finality, restated: readonly Restating[]) {
  const isRestated = restated.some(
    row => row.minute === copy.minute && row.ad_id === copy.ad_id && row.country === copy.country,
  );
  const state: State = stateAt(finality, copy.minute + minuteMs, isRestated);
  return {
    ...copy,
    received_at: isoOrNull(copy.received_at),
    clicked_at: timeOrNull(copy.clicked_at),
    minute: timeOrNull(copy.minute),
    facts: copy.facts === null ? null : factsNamed(copy.facts),
    state,
  };
}

function factsNamed(letters: string): string[] {
  const bits = factsIn(letters);
  return Object.entries(facts).flatMap(([name, { bit }]) => ((bits & bit) === 0 ? [] : [name]));
}

function timeOrNull(ms: number): string | null {
  return ms > 0 && ms < 8.64e15 ? isoOf(ms) : null;
}

const strict = { additionalProperties: false };

const schema = {
  tags: ['clicks'],
  operationId: 'getClick',
  summary: 'What became of a click: each accepted copy of it, and its outcome',
  description: `The ad and the event id together identify a click. If several ads use the same event id, each has its own click, and all of them are listed. A click is found as long as its raw click is kept, which is 35 days. The answer lists at most ${copiesListed.ofAd} copies of an ad, and at most ${copiesListed.ofAll} copies in all.`,
  params: Type.Object({
    event_id: Type.String({ minLength: 1, maxLength: limits.eventIdLength, description: 'The event id of the click.' }),
  }),
  querystring: Type.Object(
    { ad_id: Type.Optional(Type.String({ pattern: adIdPattern.source, description: 'Only the click of this ad.' })) },
    strict,
  ),
  response: {
    200: Type.Object(
      {
        event_id: Type.String(),
        ads: Type.Array(
          Type.Object({ ad_id: Type.String(), copies: countField('How many of `copies` are of this ad.') }, strict),
          { description: 'The ads that use this event id. Each has its own click.' },
        ),
        is_complete: Type.Boolean({ description: 'False: not all copies are listed. Ask for one `ad_id`.' }),
        copies: Type.Array(
          Type.Object(
            {
              click_id: Type.String({ description: 'The id that ingest gave to this copy.' }),
              ad_id: Type.String(),
              country: Type.String(),
              received_at: timeOrNullField('When ingest received it. Null: not known.'),
              clicked_at: timeOrNullField('The event time. Null: it could not be read.'),
              minute: timeOrNullField('The minute in which it counts. Null: its time could not be read.'),
              partition: Type.Union([Type.Integer(), Type.Null()], {
                description: 'The partition of the log. Null: not known.',
              }),
              outcome: Type.Enum(['counted', 'duplicate', 'quarantined', 'restated'], {
                type: 'string',
                description: '`restated`: it came too late, and a job has counted it since.',
              }),
              reason: Type.Union([Type.String(), Type.Null()], { description: 'Why it was quarantined.' }),
              job: Type.Union([Type.String(), Type.Null()], {
                description:
                  'The job that has counted it since. Of a `duplicate` that came too late: the one that has judged the click with it.',
              }),
              facts: Type.Union([Type.Array(Type.String()), Type.Null()], {
                description: 'What ingest has found out about it for the rules of invalid traffic. Null: not known.',
              }),
              state: stateField,
              validity: Type.Union([Type.Enum(['valid', 'invalid', 'unknown'], { type: 'string' }), Type.Null()], {
                description: `Whether the counted click is valid, so that it is in \`net\`. \`unknown\`: its count or its rules are not known yet, its ad has more than ${cellClicksRead} clicks of this country in the minute or more than ${adClicksRead} of all countries, or this copy is invalid by its facts and not all others are listed. Null: this copy is not counted.`,
              }),
              invalid_reason: Type.Union([Type.String(), Type.Null()], {
                description:
                  'The rule that makes it invalid (see GET /v1/rules). Rules about one click decide by its facts. Of rules about many clicks, those that come too late in the order of event time and event id are invalid. For clicks that wait for a restatement this order already has them. Null: it is valid, or not known.',
              }),
              rules: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], {
                description:
                  'The version of the rules by which the counts of its minute were judged. 0: by none. Null: not known, or this copy is not counted.',
              }),
            },
            { additionalProperties: false },
          ),
          { description: 'Grouped by ad. Copies that were counted live come first.' },
        ),
      },
      { additionalProperties: false },
    ),
    ...problems,
    404: ProblemSchema,
  },
} as const;
