/** Schemas are compiled when they are first needed, and judge as if they had been compiled at the start. */
import { fastify } from 'fastify';
import { expect, it } from 'vitest';
import { whenFirstAsked } from '../../../infra/http-schemas.ts';
import { ingestDocument, queryApiDocument } from '../../support/documents.ts';

const ajv = { customOptions: { removeAdditional: false as const, coerceTypes: 'array' as const } };

it('judges, converts and serializes as Fastify does by itself, also the second time', async () => {
  const answers = [];
  for (const schemaController of [{}, { compilersFactory: whenFirstAsked() }]) {
    const http = fastify({ ajv, schemaController });
    const schema = {
      querystring: { type: 'object', required: ['n'], properties: { n: { type: 'integer', minimum: 1 } } },
      body: { type: 'object', properties: { names: { type: 'array', items: { type: 'string' } } } },
      response: { 200: { type: 'object', properties: { n: { type: 'integer' }, names: {} } } },
    };
    http.post('/', { schema }, async request => {
      const { n } = request.query as { n: number };
      return { n, unstated: true, ...(request.body as object) };
    });
    const asked = ['/', '/?n=0', '/?n=2', '/?n=x', '/?n=3', '/'].map(url => [url, { names: 'one' }] as const);
    for (const [url, payload] of [...asked, ['/?n=4', { names: [{}] }] as const]) {
      const { statusCode, body } = await http.inject({ method: 'POST', url, payload });
      answers.push({ url, statusCode, body });
    }
    await http.close();
  }
  const half = answers.length / 2;
  expect(answers.slice(half)).toEqual(answers.slice(0, half));
  expect(answers.map(({ statusCode }) => statusCode).slice(0, half)).toEqual([400, 400, 200, 400, 200, 400, 400]);
  expect(answers[2]?.body).toBe('{"n":2,"names":["one"]}');
});

it('compiles nothing for a route that nobody asks for', async () => {
  const http = fastify({ schemaController: { compilersFactory: whenFirstAsked() } });
  http.get('/asked', { schema: { querystring: { type: 'object' } } }, async () => 'an answer');
  http.get('/wrong', { schema: { querystring: { type: 'no such type' } } }, async () => 'an answer');
  expect((await http.inject('/asked')).statusCode).toBe(200);
  expect((await http.inject('/wrong')).statusCode).toBe(500);
  await http.close();
});

it('can be given every schema of every route of both services', async () => {
  for (const { routes } of [await ingestDocument(), await queryApiDocument()]) {
    // It compiles all of them at once.
    const fastifyItself = fastify({ ajv });
    for (const { method, url, schema } of routes)
      if (schema) fastifyItself.route({ method, url, schema, exposeHeadRoute: false, handler: async () => undefined });
    await fastifyItself.ready();
    expect(fastifyItself.hasRoute({ method: 'GET', url: '/healthz' })).toBe(true);
    await fastifyItself.close();
  }
});
