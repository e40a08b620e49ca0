/** PUT, GET and DELETE /v1/filters/{id}, GET /v1/filters: filters with a name, for `filter=`. */
import { Type } from 'typebox';
import { brokenRule } from '../../../infra/broken-rule.ts';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import { sourceField } from '../../answers/readings.ts';
import { filterIdPattern } from '../../http/asked-filter.ts';
import { cursorParameter, cursorsOf, nextCursorField, pageOf } from '../../http/cursor.ts';
import { exactTypes } from '../../http/exact-types.ts';
import { isoOf, problems, timeField } from '../../http/parameters.ts';
import { needsRaw } from '../../store/filters/click-filter.ts';
import { conditionsOf, FilterDefinition, normalDefinition } from '../../store/filters/filter-definition.ts';
import type { FilterStore } from '../../store/filters/filter-store.ts';
import { maxFilters, type StoredFilter } from '../../store/filters/filter-store.ts';

/** The last id of a page. */
const cursors = cursorsOf('filters', Type.String({ pattern: filterIdPattern.source }));

export interface FilterRoutesDeps {
  readonly filters: FilterStore;
  /** Epoch ms. */
  readonly now: () => number;
}

export function routeFilters(http: Http, { filters, now }: FilterRoutesDeps): void {
  http.get('/v1/filters', { schema: listSchema, config: { scope: 'read:personal' } }, async (request, reply) => {
    const { limit = 50, cursor } = request.query;
    const rows = await filters.list(cursors.read(cursor, {}) ?? '', limit + 1);
    const page = pageOf(rows, limit, last => cursors.write(last.id, {}));
    reply.header('cache-control', 'no-cache');
    return { filters: page.rows.map(shown), next_cursor: page.next_cursor };
  });

  http.get('/v1/filters/:id', { schema: getSchema, config: { scope: 'read:personal' } }, async (request, reply) => {
    reply.header('cache-control', 'no-cache');
    return shown(existing(await filters.get(request.params.id), request.params.id));
  });

  http.put(
    '/v1/filters/:id',
    { schema: putSchema, config: { scope: 'operate' }, preValidation: exactTypes(FilterDefinition) },
    async request => {
      const { id } = request.params;
      // Whoever asks by it must not be the first to hear that it is wrong.
      conditionsOf(request.body);
      if (!(await filters.get(id)) && (await filters.count()) >= maxFilters) {
        throw new Problem(
          409,
          'too_many_filters',
          brokenRule('id', id, `must be one that was used before, as ${maxFilters} are: put or delete another`),
        );
      }
      return shown(await filters.put(id, normalDefinition(request.body), now()));
    },
  );

  http.delete('/v1/filters/:id', { schema: deleteSchema, config: { scope: deleting } }, async request => {
    const { id } = request.params;
    return shown(existing(await filters.remove(id, now()), id));
  });
}

/** The answer says what the filter was, and so whom it named. */
const deleting = ['operate', 'read:personal'] as const;

function existing(filter: StoredFilter | undefined, id: string): StoredFilter {
  if (filter) return filter;
  throw new Problem(404, 'not_found', brokenRule('id', id, 'there is no such filter', 'GET /v1/filters lists them'));
}

function shown({ id, definition, createdAt, updatedAt }: StoredFilter) {
  const source: 'counts' | 'raw' = needsRaw(conditionsOf(definition)) ? 'raw' : 'counts';
  return { id, ...definition, source, created_at: isoOf(createdAt), updated_at: isoOf(updatedAt) };
}

const IdParams = Type.Object({
  id: Type.String({
    pattern: filterIdPattern.source,
    description: 'the name: 1 to 64 of `A-Za-z0-9._-`, a letter or digit first',
    examples: ['no-bots'],
  }),
});

const StoredFilterSchema = Type.Object(
  {
    id: Type.String(),
    ...FilterDefinition.properties,
    source: sourceField,
    created_at: timeField('when it was first put'),
    updated_at: timeField('when it was last put'),
  },
  { additionalProperties: false },
);

const itemProblems = { ...problems, 404: ProblemSchema };

const listSchema = {
  tags: ['filters'],
  operationId: 'listFilters',
  summary: 'The stored filters, in the order of their ids',
  description: 'Each says whether it is answered from counts or from raw clicks.',
  querystring: Type.Object(
    {
      limit: Type.Optional(Type.Integer({ default: 50, minimum: 1, maximum: 200, description: 'filters of a page' })),
      cursor: cursorParameter,
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
  description: 'Use its id as `filter=` where counts are asked for.',
  params: IdParams,
  response: { 200: StoredFilterSchema, ...itemProblems },
} as const;

const putSchema = {
  tags: ['filters'],
  operationId: 'putFilter',
  summary: 'Store a filter, or replace it: all of it',
  description: 'The same request again changes nothing. What is asked for by `filter=` from now on goes by it.',
  params: IdParams,
  body: FilterDefinition,
  response: { 200: StoredFilterSchema, ...problems, 409: ProblemSchema },
} as const;

const deleteSchema = {
  tags: ['filters'],
  operationId: 'deleteFilter',
  summary: 'Delete a stored filter; the answer is what it was',
  description: 'Requests that name it are refused from now on.',
  params: IdParams,
  response: { 200: StoredFilterSchema, ...itemProblems },
} as const;
