/** PUT, GET and DELETE /v1/filters/{id}, and GET /v1/filters: stored filters, which other requests use as `filter=`. */
import { Type } from 'typebox';
import { brokenRule } from '../../../infra/broken-rule.ts';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import { sourceField } from '../../answers/readings.ts';
import { filterIdPattern } from '../../http/asked-filter.ts';
import { cursorsOf, nextCursorField, pageOf, pageParameters } from '../../http/cursor.ts';
import { exactTypes } from '../../http/exact-types.ts';
import { isoOf, problems, timeField } from '../../http/parameters.ts';
import { needsRaw } from '../../store/filters/click-filter.ts';
import { conditionsOf, FilterDefinition, normalDefinition } from '../../store/filters/filter-definition.ts';
import type { FilterStore, StoredFilter } from '../../store/filters/filter-store.ts';
import { createNewFilters } from './new-filters.ts';

/** A cursor contains the last id of its page. */
const cursors = cursorsOf('filters', Type.String({ pattern: filterIdPattern.source }));

export interface FilterRoutesDeps {
  readonly filters: FilterStore;
  /** Epoch ms. */
  readonly now: () => number;
}

export function routeFilters(http: Http, { filters, now }: FilterRoutesDeps): void {
  const putNew = createNewFilters({ filters, now });
  http.get('/v1/filters', { schema: listSchema, config: reading }, async (request, reply) => {
    const { limit = 50, cursor } = request.query;
    const rows = await filters.list(cursors.read(cursor, {}, undefined) ?? '', limit + 1);
    const page = pageOf(rows, limit, last => cursors.write(last.id, {}, undefined));
    reply.header('cache-control', 'no-cache');
    return { filters: page.rows.map(shown), next_cursor: page.next_cursor };
  });

  http.get('/v1/filters/:id', { schema: getSchema, config: reading }, async (request, reply) => {
    reply.header('cache-control', 'no-cache');
    return shown(existing(await filters.get(request.params.id), request.params.id));
  });

  const putting = {
    schema: putSchema,
    config: { scope: 'operate' },
    preValidation: exactTypes(FilterDefinition),
  } as const;
  http.put('/v1/filters/:id', putting, async request => {
    const { id } = request.params;
    // A wrong filter is refused now. Otherwise the first request that uses it would get the error.
    conditionsOf(request.body);
    const definition = normalDefinition(request.body);
    return shown((await filters.has(id)) ? await filters.put(id, definition, now()) : await putNew(id, definition));
  });

  http.delete('/v1/filters/:id', { schema: deleteSchema, config: { scope: deleting } }, async request => {
    const { id } = request.params;
    return shown(existing(await filters.remove(id, now()), id));
  });
}

/** The answer contains the deleted filter, and so the users and addresses that it names. */
const reading = {
  scope: 'read:personal',
  tenants: { refused: 'stored filters are those of all, and may name their users and addresses' },
} as const;
const deleting = ['operate', 'read:personal'] as const;

/** After a PUT that was answered with 503, the filter may be stored later. */
const notFoundBecause =
  'none was put, or it was deleted, or it is not stored yet while a sink is behind; GET /v1/filters lists all filters';

function existing(filter: StoredFilter | undefined, id: string): StoredFilter {
  if (filter) return filter;
  throw new Problem(404, 'not_found', brokenRule('id', id, 'ClickHouse has no filter with this id', notFoundBecause));
}

function shown({ id, definition, createdAt, updatedAt }: StoredFilter) {
  const source: 'counts' | 'raw' = needsRaw(conditionsOf(definition)) ? 'raw' : 'counts';
  return { id, ...definition, source, created_at: isoOf(createdAt), updated_at: isoOf(updatedAt) };
}

const IdParams = Type.Object({
  id: Type.String({
    pattern: filterIdPattern.source,
    description: 'The id of the filter: 1 to 64 of `A-Za-z0-9._-`, beginning with a letter or a digit.',
    examples: ['no-bots'],
  }),
});

const StoredFilterSchema = Type.Object(
  {
    id: Type.String(),
    ...FilterDefinition.properties,
    source: sourceField,
    created_at: timeField('When it was first stored.'),
    updated_at: timeField('When it was last replaced.'),
  },
  { additionalProperties: false },
);

const itemProblems = { ...problems, 404: ProblemSchema };

const listSchema = {
  tags: ['filters'],
  operationId: 'listFilters',
  summary: 'The stored filters, in the order of their ids',
  description: 'The `source` of each filter says whether requests with it are answered from counts or from raw clicks.',
  querystring: Type.Object(
    {
      ...pageParameters('filters', { default: 50, maximum: 200 }),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      { filters: Type.Array(StoredFilterSchema), next_cursor: nextCursorField },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;

const getSchema = {
  tags: ['filters'],
  operationId: 'getFilter',
  summary: 'A stored filter',
  description: 'Use its id as `filter=` in requests for counts.',
  params: IdParams,
  response: { 200: StoredFilterSchema, ...itemProblems },
} as const;

const putSchema = {
  tags: ['filters'],
  operationId: 'putFilter',
  summary: 'Store a filter, or replace all of it',
  description:
    'Repeating the same request changes nothing. From now on, requests with `filter=` use the new definition.',
  params: IdParams,
  body: FilterDefinition,
  response: { 200: StoredFilterSchema, ...problems, 409: ProblemSchema },
} as const;

const deleteSchema = {
  tags: ['filters'],
  operationId: 'deleteFilter',
  summary: 'Delete a stored filter, and return what it was',
  description: 'From now on, requests that name it are refused.',
  params: IdParams,
  response: { 200: StoredFilterSchema, ...itemProblems },
} as const;
