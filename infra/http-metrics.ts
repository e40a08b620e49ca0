/**
 * Measures how often each route was requested, how it answered and how long that took, with one histogram for every
 * HTTP server.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Histogram } from 'prom-client';
import { durationBuckets, registry } from './metrics.ts';

/** The usual name without our prefix, so that existing dashboards and rules recognize it. */
const requestSeconds = new Histogram({
  name: 'http_request_duration_seconds',
  help: 'Time to answer a request, by route and status',
  labelNames: ['method', 'route', 'status'],
  buckets: durationBuckets,
  registers: [registry],
});

/**
 * An `onResponse` hook. All addresses without a route count as one, so that a client that invents addresses creates no
 * new series.
 */
export function measureRequest(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const route = request.routeOptions.url;
  // A stream of events lasts as long as somebody listens, so its duration says nothing about this server.
  if (!String(reply.getHeader('content-type')).startsWith('text/event-stream')) {
    requestSeconds.observe(
      {
        method: route === undefined ? 'any' : request.method,
        route: route ?? 'none',
        status: String(reply.statusCode),
      },
      reply.elapsedTime / 1_000,
    );
  }
  done();
}
