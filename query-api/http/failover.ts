/**
 * Answers a request from one replica of each shard. If that replica fails before the answer has begun, the handler runs
 * again with another replica. Only reads are repeated. A request that changes something runs once.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { messageOf } from '../../infra/errors.ts';
import type { Http } from '../../infra/http.ts';
import { loggedRequest } from '../../infra/http-logged.ts';
import { failovers } from '../replicas/metrics.ts';
import { nodeAtFault, type Replicas } from '../replicas/replicas.ts';
import { NoReplica } from '../replicas/shard.ts';

/** Applies to all routes that are added to `http` after this call. */
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
      // The client has part of an answer. It must learn at once that the rest will not come.
      if (reply.raw.headersSent) reply.raw.destroy();
      if (!isRead || reply.sent || reply.raw.destroyed) throw error;
      if (error instanceof NoReplica && failed.size > 0 && !isSecondRound) {
        // All nodes have failed once, for which a busy network or machine is enough. A second round asks the nodes that
        // the watch finds healthy.
        isSecondRound = true;
        failed.clear();
        continue;
      }
      if (!replicas.isNodesFault(error)) throw error;
      const node = nodeAtFault(error, read);
      // No node is known to have failed, or it was tried before: another attempt would repeat for ever.
      if (failed.has(node) || node === '') throw error;
      failed.add(node);
      failovers.inc({ from: node });
      request.log.warn(
        { node, why: messageOf(error), ...loggedRequest(request) },
        'a ClickHouse node failed: the request runs again on another one',
      );
    }
  }
}
