import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokenRule, shown } from '../../infra/broken-rule.ts';
import { loadConfig } from '../../infra/config.ts';
import type { Http } from '../../infra/http.ts';
import { IngestConfig } from '../../ingest/config.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import {
  type Document,
  ingest,
  ingestDocument,
  type Parameter,
  queryApi,
  queryApiDocument,
} from '../support/documents.ts';

/**
 * Values that break the rules of nearly any parameter; where one is allowed by a schema, the route says what it thinks.
 * None is a text of a certain length alone: an answer must not be long because what was asked is.
 */
const wrongValues = ['', 'x y', '-1', '0', '1.5', '99999999999999999999', '\u0000', '../..', `a${'b'.repeat(4_000)}`];

interface Asked {
  readonly url: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH';
  readonly field: string;
}

/** One request for each parameter of each operation and each wrong value, and one with a parameter that there is not. */
function* wrongRequests({ paths }: Document): Generator<Asked> {
  for (const [path, methods] of Object.entries(paths)) {
    for (const [name, { parameters = [], tags, responses }] of Object.entries(methods)) {
      const method = name.toUpperCase() as Asked['method'];
      const address = path.replace(/\{(\w+)\}/g, (_, field) => soundValue(field));
      if (!tags?.includes('operations')) yield { url: `${address}?no_such=1`, method, field: 'no_such' };
      // A stream does not end by itself, and takes any text for where to go on.
      if (responses['200']?.content?.['text/event-stream']) continue;
      for (const parameter of parameters) yield* requestsWith(parameter, path, address, method);
    }
  }
}

function* requestsWith({ in: place, name }: Parameter, path: string, address: string, method: Asked['method']) {
  for (const value of wrongValues) {
    const text = encodeURIComponent(value);
    if (place === 'query') yield { url: `${address}?${name}=${text}`, method, field: name };
    else if (place === 'path' && text !== '') {
      const url = path.replace(/\{(\w+)\}/g, (_, field) => (field === name ? text : soundValue(field)));
      yield { url, method, field: name };
    }
  }
}

function soundValue(field: string): string {
  return field === 'id' ? '01K00000000000000000000000' : 'a';
}

/** What validators and their authors say to each other. */
const schemaWords =
  /must NOT|must match|must be (integer|string|array|object|equal)|\bpattern\b|allowed values|propert(y|ies)|\bconstant\b|anyOf|oneOf|schema|undefined|NaN|\[object/;

describe.each([
  ['query API', queryApiDocument, () => queryApi({ QUERY_RATE_LIMIT_PER_MINUTE: '0' })],
  ['ingest', ingestDocument, () => ingest({ INGEST_RATE_LIMIT_PER_MINUTE: '0' })],
] as const)('what the %s says of a wrong value', (_name, documentOf, build) => {
  let http: Http;
  let document: Document;
  beforeAll(async () => {
    http = await build();
    ({ document } = await documentOf());
  });
  afterAll(() => http.close());

  it('is one sentence with the field, the value, cut short, and the rule', async () => {
    let refused = 0;
    for (const { url, method, field } of wrongRequests(document)) {
      const body = method === 'POST' || method === 'PUT' ? { payload: {} } : {};
      const answer = await http.inject({ method, url, ...body });
      if (answer.statusCode !== 400) continue;
      const { detail, code, ...problem } = answer.json<{ detail: string; code: string; field?: string }>();
      const where = `${method} ${url.slice(0, 100)}: ${detail}`;
      expect(detail, where).not.toMatch(schemaWords);
      expect(detail.length, where).toBeLessThan(400);
      expect(detail, where).not.toMatch(/[.!]$|\n/);
      if (code !== 'invalid_parameter') continue;
      refused++;
      expect(detail, where).toMatch(/^\S.* (is not given|is .+), but (must|cannot|there is no)/);
      // Some rules are about two fields, and a body that lacks one is wrong before its address is looked at.
      if (problem.field !== undefined) expect(detail.startsWith(`${problem.field} is `), where).toBe(true);
      if (problem.field === field) expect(detail, where).toContain(`${field} is `);
    }
    expect(refused).toBeGreaterThan(_name === 'ingest' ? 8 : 200);
  });

  it('is as plain where a body is wrong', async () => {
    const bodies = [
      '',
      'no json',
      '{}',
      '[]',
      '7',
      '{"from":[],"to":{}}',
      '{"x":1}',
      '{"from":"x","to":"y","apply":"z"}',
    ];
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [name, { requestBody }] of Object.entries(methods)) {
        if (requestBody === undefined) continue;
        for (const type of ['application/json', 'text/html', undefined]) {
          for (const payload of bodies) {
            const url = path.replace(/\{(\w+)\}/g, (_, field) => soundValue(field));
            const headers = type === undefined ? {} : { 'content-type': type };
            const answer = await http.inject({ method: name.toUpperCase() as 'POST', url, headers, payload });
            const { detail } = answer.json<{ detail?: string }>();
            if (detail !== undefined) expect(detail, `${name} ${url} ${payload}`).not.toMatch(schemaWords);
          }
        }
      }
    }
  });
});

describe('what is said of a wrong setting', () => {
  it.each([...Object.keys(QueryApiConfig.properties), ...Object.keys(IngestConfig.properties)])('%s', name => {
    for (const value of wrongValues) {
      for (const schema of [QueryApiConfig, IngestConfig]) {
        try {
          loadConfig(schema, { [name]: value });
        } catch (error) {
          const { message } = error as Error;
          expect(message).not.toMatch(schemaWords);
          expect(message).toMatch(new RegExp(`^${name}=.*: must `, 's'));
        }
      }
    }
  });
});

describe('a sentence about a broken rule', () => {
  it('shows no more of a value than is needed to find it, and no half character', () => {
    for (const value of ['x'.repeat(1e6), '\u{1f600}'.repeat(1e5), Array(1e5).fill('y'), { a: 'z'.repeat(1e6) }]) {
      expect(shown(value).length).toBeLessThanOrEqual(61);
      expect(shown(value).isWellFormed()).toBe(true);
      expect(brokenRule('f', value, 'must be short').length).toBeLessThan(100);
    }
    expect(brokenRule('f', undefined, 'must be')).toBe('f is not given, but must be');
    expect(brokenRule('f', null, 'must be a text', 'leave it out')).toBe('f is null, but must be a text: leave it out');
  });
});
