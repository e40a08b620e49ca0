/** GET /: serves the files of the dashboard. Its content security policy forbids loading anything from other hosts. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { Http } from '../../../infra/http.ts';

export async function routeDashboard(http: Http): Promise<void> {
  http.addHook('onSend', async (_request, reply) => {
    reply.header('content-security-policy', policy);
    // Files have the same names in every release, so a browser must ask each time whether they have changed.
    reply.header('cache-control', 'no-cache');
  });
  const served = { index: false, cacheControl: false } as const;
  await http.register(fastifyStatic, { ...served, root: files, prefix: '/dashboard/' });
  await http.register(fastifyStatic, { ...served, root: charts, prefix: '/dashboard/uplot/', decorateReply: false });
  http.get('/', { schema: { hide: true }, config: { scope: 'open' } }, (_request, reply) =>
    reply.sendFile('index.html'),
  );
}

const files = join(import.meta.dirname, '../../dashboard');
const charts = dirname(createRequire(import.meta.url).resolve('uplot/dist/uPlot.esm.js'));

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
