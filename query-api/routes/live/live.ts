/** GET /v1/live: server-sent events, one a second. */
import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import type { ClientSlots } from '../../../infra/client-slots.ts';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import type { Clients } from '../../../infra/http-clients.ts';
import { LiveEvent } from './live-event.ts';
import type { LiveFeed } from './live-feed.ts';

export interface LiveRoutesDeps {
  readonly live: Pick<LiveFeed, 'open'>;
  readonly clients: Pick<Clients, 'of'>;
  /** Of one client; before those of all. */
  readonly listenersOf: ClientSlots;
}

export function routeLive(http: Http, { live, clients, listenersOf }: LiveRoutesDeps): void {
  // An answer to HEAD would be made as for GET, and nobody would ever end it.
  http.get('/v1/live', { schema, config: { scope: 'read' }, exposeHeadRoute: false }, async (request, reply) => {
    const client = clients.of(request.raw);
    const stream = await listenersOf(client, () => {
      const opened = live.open(client.network, request.headers['last-event-id'] ?? request.query.last_event_id);
      if (opened) return opened;
      throw new Problem(
        503,
        'too_many_listeners',
        'as many clients listen as may (QUERY_API_LIVE_MAX_CLIENTS): try again',
        {},
        10,
      );
    });
    reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no');
    reply.type('text/event-stream; charset=utf-8');
    return stream;
  });
}

/** A stream has no schema of its own in OpenAPI 3.1: this says what each `data:` holds. */
const EventStream = {
  type: 'string',
  contentMediaType: 'application/json',
  contentSchema: LiveEvent,
  description: 'server-sent events; each `data:` is one object of `contentSchema`',
};

const schema = {
  tags: ['pipeline'],
  operationId: 'listen',
  summary: 'Live: totals, top lists of the current and the last minute, and changes, once a second',
  description:
    'Server-sent events. Each `message` is a whole `LiveEvent`, with an id; `Last-Event-ID` gets what was missed, for about a minute. `event: reset`: the id is not known any more, the next message says all. `event: unavailable`: the database does not answer at the moment. `event: closing`: this process stops, or another client needs the room; come back, with the last id. A client that reads too slowly is cut off.',
  headers: Type.Object({
    'last-event-id': Type.Optional(Type.String({ maxLength: 100, description: 'the last event that came' })),
  }),
  querystring: Type.Object(
    {
      last_event_id: Type.Optional(
        Type.String({ maxLength: 100, description: 'the same, for clients that cannot set headers' }),
      ),
    },
    { additionalProperties: false },
  ),
  response: {
    200: { description: 'events', content: { 'text/event-stream': { schema: Type.Unsafe<Readable>(EventStream) } } },
    400: ProblemSchema,
    503: ProblemSchema,
  },
} as const;
