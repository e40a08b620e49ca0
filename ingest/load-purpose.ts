/** Tells what a program loads an address for when nobody has clicked or looked yet: to prefetch it, or to see whether it is there. */
import type { FastifyRequest } from 'fastify';

/** What a click may say that it was loaded for. */
export const purposes = ['prefetch', 'head'] as const;
type Purpose = (typeof purposes)[number];

export function isPurpose(value: unknown): value is Purpose {
  return value === 'prefetch' || value === 'head';
}

/** Returns undefined where the request says nothing of the kind. */
export function loadPurposeOf({ method, headers }: FastifyRequest): Purpose | undefined {
  if (method === 'HEAD') return 'head';
  const said = headers['sec-purpose'] ?? headers['purpose'] ?? headers['x-purpose'] ?? headers['x-moz'];
  const text = Array.isArray(said) ? said.join() : said;
  return text !== undefined && /prefetch|prerender|preview/i.test(text) ? 'prefetch' : undefined;
}
