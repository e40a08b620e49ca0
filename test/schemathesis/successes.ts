/**
 * Operations of a service that have not answered with a success, by its own metrics; one that refuses everything would
 * pass all checks of what it answers.
 */
import type { Document } from '../support/documents.ts';

export async function neverSucceeded(url: string, without: readonly string[]): Promise<string[]> {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as Document;
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Object.entries(paths)
    .filter(([, methods]) => Object.values(methods).every(({ operationId = '' }) => !without.includes(operationId)))
    .map(([path]) => path.replace(/\{(\w+)\}/g, ':$1'))
    .filter(path => !success(path).test(metrics));
}

/** Of any method. */
function success(route: string): RegExp {
  return new RegExp(
    `^http_request_duration_seconds_count\\{method="\\w+",route="${route}",status="2\\d\\d"\\} [1-9]`,
    'm',
  );
}
