/**
 * Operations of a service that have not answered with a success, by its own metrics; one that refuses everything would
 * pass all checks of what it answers.
 */
import type { Document } from '../support/documents.ts';

export async function neverSucceeded(url: string, without: readonly string[]): Promise<string[]> {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as Document;
  const metrics = await (await fetch(`${url}/metrics`)).text();
  // Ingest counts clicks instead of requests.
  if (metrics.includes('adclicks_clicks_total')) {
    return /adclicks_clicks_total\{outcome="accepted"\} [1-9]/.test(metrics) ? [] : ['postClicks'];
  }
  return Object.entries(paths)
    .filter(([, methods]) => Object.values(methods).every(({ operationId = '' }) => !without.includes(operationId)))
    .map(([path]) => path.replace(/\{(\w+)\}/g, ':$1'))
    .filter(path => !new RegExp(`request_seconds_count\\{route="${path}",status="2xx"\\} [1-9]`).test(metrics));
}
