/**
 * Answers a request from one replica of each shard, and from another if one fails before the answer has begun: the handler is run
 * again. For reads alone; what changes something is asked for once.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { messageOf } from '../../infra/errors.ts';
import type { Http } from '../../infra/http.ts';
import { failovers } from '../replicas/metrics.ts';
import { nodeAtFault, type Replicas } from '../replicas/replicas.ts';
import { NoReplica } from '../replicas/shard.ts';

/** Of all routes that are added to `http` after this. */
export function failOver(http: Http, replicas: Replicas): void {
  if (!replicas.areSeveral) return;
  http.addHook('onRoute', route => {
    const { handler } = route;
    const isRead = [route.method].flat().every(method => /^(GET|HEAD)$/.test(method));
    route.handler = async function (request, reply) {
      return await answered(replicas, isRead, request, reply, async () => await handler.call(this, request, reply));
    };
  });
}

async function answered(
  replicas: Replicas,
  isRead: boolean,
  request: FastifyRequest,
  reply: FastifyReply,
  handle: () => Promise<unknown>,
): Promise<unknown> {
  const failed = new Set<string>();
  let isSecondRound = false;
  for (;;) {
    let read: ReturnType<Replicas['nodes']> = [];
    const work = () => {
      read = replicas.nodes();
      return handle();
    };
    try {
      return await replicas.reading(work, failed);
    } catch (error) {
      // Whoever waits for the rest of an answer is to learn at once that it does not come.
      if (reply.raw.headersSent) reply.raw.destroy();
      if (!isRead || reply.sent || reply.raw.destroyed) throw error;
      if (error instanceof NoReplica && failed.size > 0 && !isSecondRound) {
        // All have failed once, which a busy network or machine is enough for. Those that a look finds well are asked again.
        isSecondRound = true;
        failed.clear();
        continue;
      }
      if (!replicas.isNodesFault(error)) throw error;
      const node = nodeAtFault(error, read);
      // Tried already, or none: it would go on for ever.
      if (failed.has(node) || node === '') throw error;
      failed.add(node);
      failovers.inc({ from: node });
      request.log.warn({ node, why: messageOf(error), url: request.url }, 'another ClickHouse node is asked');
    }
  }
}
