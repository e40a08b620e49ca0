/** Refuses the methods that a path does not support. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Http } from './http-instance.ts';
import { Problem } from './problem.ts';

/** Answers 405 with `Allow` before a body is read. */
export function refuseOtherMethods(http: Http, url: string, allowed: readonly string[]): void {
  const refuse = (request: FastifyRequest, reply: FastifyReply): never => {
    reply.header('allow', allowed.join(', '));
    const path = request.url.split('?')[0];
    throw new Problem(405, 'method_not_allowed', `${path} takes ${allowed.join(', ')}, not ${request.method}`);
  };
  http.route({
    method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'].filter(method => !allowed.includes(method)),
    url,
    schema: { hide: true },
    // It says only what the document of the API says, too.
    config: { scope: 'open' },
    onRequest: async (request, reply) => refuse(request, reply),
    handler: refuse,
  });
}
