/** Tells what a program loads an address for when nobody has clicked or looked yet: to prefetch it, or to see whether it is there. */
import type { FastifyRequest } from 'fastify';

/** Returns undefined where the request says nothing of the kind. */
export function loadPurposeOf({ method, headers }: FastifyRequest): 'head' | 'prefetch' | undefined {
  if (method === 'HEAD') return 'head';
  const said = headers['sec-purpose'] ?? headers['purpose'] ?? headers['x-purpose'] ?? headers['x-moz'];
  const text = Array.isArray(said) ? said.join() : said;
  return text !== undefined && /prefetch|prerender|preview/i.test(text) ? 'prefetch' : undefined;
}
