/**
 * Lets pages of other origins read answers, also those that refuse: a program in a browser has to be able to tell why.
 * Sessions are not for them: without `Access-Control-Allow-Credentials` a browser lets no such page read an answer that was
 * made for a cookie. They send an API key.
 */
import cors from '@fastify/cors';
import type { Http } from './http-instance.ts';

/** `origins`: as many as there are, with commas between them; `*` for all, and an empty text for none. */
export async function allowOrigins(http: Http, origins: string): Promise<void> {
  if (origins === '') return;
  await http.register(cors, {
    origin: origins === '*' ? '*' : origins.split(','),
    methods: ['GET', 'HEAD'],
    exposedHeaders: [
      'etag',
      'retry-after',
      'www-authenticate',
      'ratelimit',
      'ratelimit-policy',
      'x-state',
      'x-pending-late',
      'x-watermark',
      'x-final-until',
      'x-next-cursor',
      'x-tenant',
    ],
    maxAge: 600,
  });
}
