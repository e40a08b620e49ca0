/** The OpenAPI documents say what the services do: every route is in them, whole, and they are well formed. */
import { createConfig, lintFromString } from '@redocly/openapi-core';
import type { RouteOptions } from 'fastify';
import { describe, expect, it } from 'vitest';
import { type Document, ingestDocument, type Operation, queryApiDocument } from '../support/documents.ts';

const services = [
  ['query API', await queryApiDocument()],
  ['ingest', await ingestDocument()],
] as const;

/** Redocly's strictest set, and those of its further rules that say something about us. */
const rules = {
  'operation-description': 'error',
  // A click link succeeds with 302.
  'operation-2xx-response': 'off',
  'operation-singular-tag': 'error',
  'operation-tag-defined': 'error',
  'parameter-description': 'error',
} as const;

/**
 * Routes that are no part of the API: pages and their files, where browsers go to sign in and come back, and refusals of
 * methods that a path does not take.
 */
const isHidden = ({ url, method, schema }: RouteOptions) =>
  /^\/($|docs\b|dashboard\/|v1\/session\/oidc\b)/.test(url) ||
  (Array.isArray(method) && Reflect.get(schema ?? {}, 'hide') === true);

const lint = async (document: unknown) => {
  const config = await createConfig({ extends: ['recommended-strict'], rules });
  const problems = await lintFromString({
    source: JSON.stringify(document),
    absoluteRef: 'openapi.json',
    config,
  });
  return problems.map(({ ruleId, message, location }) => `${ruleId}: ${message} ${location[0]?.pointer}`);
};

describe.each(services)('the document of the %s', (_name, { document, routes }) => {
  it('is OpenAPI 3.1 without anything that the linter minds', async () => {
    expect(document.openapi).toBe('3.1.0');
    expect(await lint(document)).toEqual([]);
  });

  it('has every route that is registered, and no other', () => {
    const registered = routes.filter(route => route.method !== 'HEAD' && !isHidden(route));
    expect(registered.length).toBeGreaterThan(3);
    expect(operationsOf(document).map(([name]) => name)).toEqual(registered.map(nameOf).sort());
  });

  it('has the parameters, the body and the answers of each route as it checks and writes them', () => {
    const operations = new Map(operationsOf(document));
    for (const route of routes.filter(route => route.method !== 'HEAD' && !isHidden(route))) {
      const operation = operations.get(nameOf(route));
      expect(shapeOfOperation(operation), nameOf(route)).toEqual(shapeOfRoute(route));
    }
  });

  it('says of every operation what it is for, and how it may fail', () => {
    for (const [name, { operationId, summary, description, tags, responses, requestBody }] of operationsOf(document)) {
      expect({ name, operationId, summary, description }).toEqual({
        name,
        operationId: expect.stringMatching(/^[a-z][A-Za-z]+$/),
        summary: expect.stringMatching(/^.{10,}[^.]$/),
        description: expect.stringMatching(/\.$/),
      });
      expect(tags, name).toHaveLength(1);
      expect(
        Object.keys(responses).some(status => Number(status) < 400),
        name,
      ).toBe(true);
      const failures = Object.entries(responses).filter(([status]) => Number(status) >= 400);
      const always = requestBody ? ['400', '413', '415', '429', '500', '503'] : ['400', '429', '500', '503'];
      expect(failures.map(([status]) => status)).toEqual(expect.arrayContaining(always));
      for (const [status, { content }] of failures) {
        expect(content, `${name} ${status}`).toEqual({
          'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
        });
      }
    }
  });
});

it('gives no two operations of both services the same id, but for those of operations', () => {
  const ids = services
    .flatMap(([, { document }]) => operationsOf(document))
    .filter(([, { tags }]) => !tags?.includes('operations'))
    .map(([, { operationId }]) => operationId);
  expect(ids).toEqual([...new Set(ids)]);
});

it('lints: a reference to nothing, a missing id and a missing description are told', async () => {
  const [, { document }] = services[1];
  const { operationId: _id, description: _description, ...bare } = document.paths['/healthz']?.['get'] ?? {};
  const broken = {
    ...document,
    paths: { '/healthz': { get: bare } },
    components: { schemas: { Bad: { $ref: '#/components/schemas/Nothing' } } },
  };
  const told = (await lint(broken)).join('\n');
  for (const rule of ['no-unresolved-refs', 'operation-operationId', 'operation-description']) {
    expect(told).toContain(`${rule}:`);
  }
});

function operationsOf(document: Document): [string, Operation][] {
  return Object.entries(document.paths)
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]): [string, Operation] => [
        `${method.toUpperCase()} ${path}`,
        operation,
      ]),
    )
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function nameOf({ method, url }: RouteOptions): string {
  return `${method} ${url.replace(/:(\w+)/g, '{$1}')}`;
}

function shapeOfOperation(operation: Operation | undefined) {
  const named = (where: string) =>
    (operation?.parameters ?? [])
      .filter(parameter => parameter.in === where)
      .map(({ name, required }) => (required ? `${name}!` : name))
      .sort();
  return {
    path: named('path'),
    query: named('query'),
    header: named('header'),
    takesBody: operation?.requestBody !== undefined,
    succeeds: Object.keys(operation?.responses ?? {}).filter(status => Number(status) < 400),
    failsBesides: [404, 409].filter(status => operation?.responses[status] !== undefined),
  };
}

function shapeOfRoute({ schema }: RouteOptions) {
  const { params, querystring, headers, body, response = {} } = (schema ?? {}) as Record<string, object | undefined>;
  const named = (part: object | undefined) => {
    const { properties = {}, required = [] } = (part ?? {}) as {
      properties?: Record<string, unknown>;
      required?: readonly string[];
    };
    return Object.keys(properties)
      .map(name => (required.includes(name) ? `${name}!` : name))
      .sort();
  };
  const statuses = Object.keys(response);
  return {
    path: named(params),
    query: named(querystring),
    header: named(headers),
    takesBody: body !== undefined,
    succeeds: statuses.filter(status => Number(status) < 400),
    failsBesides: [404, 409].filter(status => statuses.includes(`${status}`)),
  };
}
