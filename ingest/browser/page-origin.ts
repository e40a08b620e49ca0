/**
 * Tells from which page a request comes, by what its browser says, and answers so that no other page reads the answer.
 *
 * A beacon says it in `Origin`, which browsers send with every POST and no page can change. An image has no `Origin`, so
 * for a pixel it is the origin of `Referer`. A request that does not say it is refused: another site could leave it out
 * by an attribute of its image. What this is worth: it stops the pages of other sites in the browsers of their visitors.
 * A program can say any origin (SECURITY.md).
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { shown } from '../../infra/broken-rule.ts';
import { isAllowedOrigin } from '../../infra/keys/origins.ts';

export interface PageRefusal {
  readonly reason: 'no_origin' | 'wrong_origin';
  readonly detail: string;
  readonly page: string | undefined;
}

/** Allows the page to read the answer, or returns why the request is refused. */
export function checkPage(
  { method, headers }: FastifyRequest,
  reply: FastifyReply,
  allowed: readonly string[],
): PageRefusal | undefined {
  reply.header('vary', 'Origin');
  const { origin, referer } = headers;
  const isRead = method === 'GET' || method === 'HEAD';
  const page = origin ?? (isRead ? originIn(referer) : undefined);
  if (page === undefined) {
    const name = isRead ? 'Referer' : 'Origin';
    const detail = `header ${name} is not given, but must say from which page the click comes: see its Referrer-Policy`;
    return { reason: 'no_origin', detail, page };
  }
  if (!isAllowedOrigin(allowed, page)) {
    const detail = `the page is of origin ${shown(page)}, and the API key is not for pages of this origin`;
    return { reason: 'wrong_origin', detail, page };
  }
  if (origin !== undefined) reply.header('access-control-allow-origin', origin);
  return undefined;
}

function originIn(referer: string | undefined): string | undefined {
  return referer !== undefined && URL.canParse(referer) ? new URL(referer).origin : undefined;
}
