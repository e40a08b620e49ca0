/**
 * DELETE /v1/users/{user_id}, POST /v1/erasures and GET /v1/erasures/{id}: erases persons, and says how far that is.
 *
 * No filter may name a person who is erased, so an erasure is refused while one does. Between that look and the record of
 * the erasure somebody may store one that does, here or in another process, and a sink may show it later still. What is in
 * the log cannot be taken back. So every answer looks again: an erasure is not done while a filter names the person that
 * was stored before the erasure ends (`erasedUntil`). One that is stored later is about later clicks, which are new data.
 */
import { setImmediate } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { brokenRule } from '../../../infra/broken-rule.ts';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import type { Erasure } from '../../../ingest/privacy/erasure-book.ts';
import { erasedUntil, erasureIdPattern, mostPersons } from '../../../ingest/privacy/erasure-record.ts';
import { exactTypes } from '../../http/exact-types.ts';
import { inTurn } from '../../http/in-turn.ts';
import type { KeptForms } from '../../http/kept-forms.ts';
import { isoOf, problems, timeField, timeOrNullField } from '../../http/parameters.ts';
import type { ErasureLog, LogKeptUntil, NodeErasure } from '../../log/erasure-log.ts';
import type { FilterStore } from '../../store/filters/filter-store.ts';
import { filtersNaming } from './named-in-filters.ts';
import { textsOf, UserIdParams, userIdField } from './person.ts';

export interface ErasureRoutesDeps {
  readonly erasures: ErasureLog;
  readonly filters: Pick<FilterStore, 'list'>;
  readonly keptForms: KeptForms;
  /** Epoch ms. */
  readonly now: () => number;
}

/** Who erases has to see persons, too: what was erased cannot be brought back by anybody. */
const config = { scope: ['operate', 'read:personal'] } as const;

export function routeErasures(http: Http, deps: ErasureRoutesDeps): void {
  const { erasures, filters } = deps;
  const answer = async (erasure: Erasure) => {
    const [nodes, kept, naming] = await Promise.all([
      erasures.nodesOf(erasure),
      erasures.logKeptUntil(erasure.at),
      // It is under way, whether the filters can be read at the moment or not.
      filtersNaming(filters, erasure.names, erasedUntil(erasure.at)).catch(() => undefined),
    ]);
    return shown(erasure, nodes, kept, naming);
  };
  // Of those side by side each would find the room that all of them use up, and would hold its texts in memory.
  const turns = inTurn('erasures');
  const erase = async (userIds: readonly string[], reply: FastifyReply) => {
    const erasure = await turns(() => begun(userIds, deps));
    reply.code(202).header('location', `/v1/erasures/${erasure.id}`).header('cache-control', 'no-store');
    return await answer(erasure);
  };

  http.delete('/v1/users/:user_id', { schema: deleteSchema, config }, async (request, reply) =>
    erase([request.params.user_id], reply),
  );

  const posting = {
    ...{ schema: postSchema, config, bodyLimit: mostBodyBytes },
    preValidation: exactTypes(postSchema.body),
  } as const;
  http.post('/v1/erasures', posting, async (request, reply) => erase(request.body.user_ids, reply));

  http.get('/v1/erasures/:id', { schema: getSchema, config: { scope: 'operate' } }, async (request, reply) => {
    const { id } = request.params;
    const erasure = await erasures.get(id);
    if (erasure === undefined)
      throw new Problem(404, 'not_found', brokenRule('id', id, 'there is no erasure with this id', notFoundBecause));
    reply.header('cache-control', 'no-store');
    return await answer(erasure);
  });
}

async function begun(
  userIds: readonly string[],
  { erasures, filters, keptForms, now }: ErasureRoutesDeps,
): Promise<Erasure> {
  const persons = new Set(userIds);
  // Each of them has as many. To make all of them first would take a second for each request that is refused then.
  const [first = ''] = persons;
  const wanted = persons.size * textsOf(first, keptForms, now()).length;
  const room = await erasures.room();
  if (wanted > room)
    throw new Problem(
      409,
      'too_many_erasures',
      `at most ${Math.max(0, room)} further texts can be erased, and these persons have ${wanted}: older erasures expire six weeks after they were asked for`,
    );
  const texts: string[] = [];
  for (const userId of persons) {
    texts.push(...textsOf(userId, keptForms, now()));
    // A thousand persons have 80,000 hashes by each key. Other requests are answered in between.
    await setImmediate();
  }
  const known = new Set(texts);
  const naming = await filtersNaming(filters, text => known.has(text));
  if (naming.length > 0)
    throw new Problem(
      409,
      'named_in_filter',
      `stored filters name ${persons.size === 1 ? 'the user' : 'one of the users'}: ${naming.slice(0, mostShown).join(', ')}. Replace or delete them first, because numbers depend on them`,
      { filters: naming.slice(0, mostShown) },
    );
  // Without the dates of the log nobody could be told when everything is gone, so nothing is begun without them.
  await erasures.logKeptUntil(now());
  return await erasures.begin(texts, persons.size);
}

const mostShown = 20;

const notFoundBecause =
  'erasures are known for six weeks, and the audit log says for seven years that one was asked for';

function shown(
  { id, at, persons, isWhole }: Erasure,
  nodes: readonly NodeErasure[],
  kept: LogKeptUntil,
  naming: readonly string[] | undefined,
) {
  const isDone = nodes.every(({ state }) => state === 'done') && naming?.length === 0;
  return {
    id,
    state: isWhole ? (isDone ? ('done' as const) : ('running' as const)) : ('incomplete' as const),
    persons,
    asked_at: isoOf(at),
    nodes: nodes.map(({ node, state, doneAt }) => ({
      node,
      state,
      done_at: doneAt === undefined ? null : isoOf(doneAt),
    })),
    filters: naming?.slice(0, mostShown) ?? null,
    log: [...kept].map(([topic, until]) => ({ topic, kept_until: until === undefined ? null : isoOf(until) })),
  };
}

/** 1,000 ids of 128 characters, of which each may be written as `\uXXXX` twice. */
const mostBodyBytes = 2 << 20;

const ErasureSchema = Type.Object(
  {
    id: Type.String(),
    state: Type.Enum(['running', 'done', 'incomplete'], {
      type: 'string',
      description:
        '`done`: each node of ClickHouse has looked for rows of these persons and has found none, and no filter of `filters` names one. `running`: a node has not yet, or does not answer, or a filter names one. `incomplete`: only a part of the request has reached the log; ask for it again.',
    }),
    persons: Type.Integer({ description: 'How many persons the request has named.' }),
    asked_at: timeField(
      'What was clicked or received until then is erased, and up to six minutes more: whole minutes, up to the last one of which a click may have come before. Later clicks of these persons are new data.',
    ),
    nodes: Type.Array(
      Type.Object(
        {
          node: Type.String({ description: 'Its name in the topology.' }),
          state: Type.Enum(['running', 'done', 'away'], {
            type: 'string',
            description: '`away`: it does not answer. It erases these persons when it is back.',
          }),
          done_at: timeOrNullField('When the look began that has found no row of these persons.'),
        },
        { additionalProperties: false },
      ),
    ),
    filters: Type.Union([Type.Array(Type.String()), Type.Null()], {
      description: `The ids of stored filters, ${mostShown} at most, that name one of these persons, and were stored while the erasure was asked for, or up to six minutes after it. Replace or delete them, because the person's id stays in them. Null: it cannot be found out at the moment.`,
    }),
    log: Type.Array(
      Type.Object(
        {
          topic: Type.String({ description: 'A topic with clicks as they came, without the prefix.' }),
          kept_until: timeOrNullField(
            'When the last record from before the request has expired. Null: the topic has no retention, so nothing expires.',
          ),
        },
        { additionalProperties: false },
      ),
      { description: 'Until when the log still has the clicks. Nothing but our own processes reads it.' },
    ),
  },
  { additionalProperties: false },
);

const description =
  'Clicks stay, and so do all counts and unique users. In the clicks and in quarantined lines the user id becomes a random token, the address a random address of fd00::/8, and user agent and referrer are removed. `user_id` is the plain one. All hashes of it by the keys of `PRIVACY_KEY_FILE` are erased too. Refused (409) while a stored filter names the user; `filters` of the answer names those that came in between. The answer and `GET /v1/erasures/{id}` say how far it is.';

const deleteSchema = {
  tags: ['users'],
  operationId: 'eraseUser',
  summary: 'Erase a person from all stored clicks and quarantined lines',
  description: `${description} To keep the id out of the logs of proxies, use \`POST /v1/erasures\`.`,
  params: UserIdParams,
  response: { 202: ErasureSchema, ...problems, 409: ProblemSchema },
} as const;

const postSchema = {
  tags: ['users'],
  operationId: 'eraseUsers',
  summary: `Erase up to ${mostPersons} persons from all stored clicks and quarantined lines`,
  description,
  body: Type.Object(
    { user_ids: Type.Array(userIdField, { minItems: 1, maxItems: mostPersons, description: 'The persons.' }) },
    { additionalProperties: false, examples: [{ user_ids: ['u-17'] }] },
  ),
  response: { 202: ErasureSchema, ...problems, 409: ProblemSchema },
} as const;

const getSchema = {
  tags: ['users'],
  operationId: 'getErasure',
  summary: 'How far an erasure of persons is, in each node and in the log',
  description: 'It names no person.',
  params: Type.Object({ id: Type.String({ pattern: erasureIdPattern.source, description: 'The id of the erasure.' }) }),
  response: { 200: ErasureSchema, ...problems, 404: ProblemSchema },
} as const;
