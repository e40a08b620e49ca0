/** GET /v1/live: sends one server-sent event a second. */
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { ClientSlots } from '../../../infra/client-slots.ts';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import type { Clients } from '../../../infra/http-clients.ts';
import type { StoreFor } from '../../http/store-for.ts';
import { LiveEvent } from './live-event.ts';
import type { LiveFeeds } from './live-feeds.ts';

export interface LiveRoutesDeps {
  readonly live: Pick<LiveFeeds, 'open'>;
  readonly storeFor: StoreFor;
  readonly clients: Pick<Clients, 'of'>;
  /** The limit for one client. It is checked before the limit for all. */
  readonly listenersOf: ClientSlots;
  /** Whether a request would be let in now. Left out: whoever was let in may listen for as long as he wants. */
  readonly isLetIn?: (request: FastifyRequest) => boolean;
}

export function routeLive(http: Http, { live, storeFor, clients, listenersOf, isLetIn }: LiveRoutesDeps): void {
  // Without HEAD, because its answer would be made like that of GET, and nobody would ever end it.
  http.get(
    '/v1/live',
    { schema, config: { scope: 'read', tenants: 'limited' }, exposeHeadRoute: false },
    async (request, reply) => {
      const client = clients.of(request.raw);
      const stream = await listenersOf(client, request.apiKey, () => {
        const opened = live.open(
          storeFor(request),
          client.network,
          request.headers['last-event-id'] ?? request.query.last_event_id,
        );
        if (opened) return opened;
        throw new Problem(
          503,
          'too_many_listeners',
          'too many clients are listening (QUERY_API_LIVE_MAX_CLIENTS): try again',
          {},
          10,
        );
      });
      if (isLetIn !== undefined) endWith(stream, () => isLetIn(request));
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no');
      reply.type('text/event-stream; charset=utf-8');
      return stream;
    },
  );
}

/** Cuts a listener off when its key is not in force any more. It may come back with one that is. */
function endWith(stream: Readable, isLetIn: () => boolean): void {
  const timer = setInterval(() => {
    if (!isLetIn()) stream.destroy();
  }, lookEveryMs);
  stream.once('close', () => clearInterval(timer));
}

const lookEveryMs = 1_000;

/** OpenAPI 3.1 has no schema for a stream. This one describes what each `data:` contains. */
const EventStream = {
  type: 'string',
  contentMediaType: 'application/json',
  contentSchema: LiveEvent,
  description: 'Server-sent events. Each `data:` is one object of `contentSchema`.',
};

const schema = {
  tags: ['pipeline'],
  operationId: 'listen',
  summary: 'Live totals, top lists of the current and the last minute, and changes, once a second',
  description:
    'Server-sent events. Each `message` is a whole `LiveEvent` with an id. A request with `Last-Event-ID` gets the events that it has missed, up to about a minute. `event: reset`: the id is no longer known, and the next message has everything. `event: unavailable`: the database does not answer at the moment. `event: closing`: this process stops, or another client needs the place. Then connect again with the last id. A client that reads too slowly is cut off. With the key of a tenant, `totals` and `lag_records` are null and `stalled` is empty, because they are about all ads.',
  headers: Type.Object({
    'last-event-id': Type.Optional(
      Type.String({ maxLength: 100, description: 'The id of the last event that the client received.' }),
    ),
  }),
  querystring: Type.Object(
    {
      last_event_id: Type.Optional(
        Type.String({ maxLength: 100, description: 'The same, for clients that cannot set headers.' }),
      ),
    },
    { additionalProperties: false },
  ),
  response: {
    200: { description: 'Events.', content: { 'text/event-stream': { schema: Type.Unsafe<Readable>(EventStream) } } },
    400: ProblemSchema,
    503: ProblemSchema,
  },
} as const;
