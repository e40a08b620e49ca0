/**
 * Refuses a body with values of other types. JSON says what it means: a `false` in a list must not become a text, as a value
 * in an address would.
 */
import type { FastifyRequest } from 'fastify';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { ruleOf } from '../../infra/broken-rule.ts';
import { invalid } from '../../infra/problem.ts';

/** Runs before the validator, which would convert them. */
export function exactTypes(schema: TSchema): (request: FastifyRequest) => Promise<void> {
  return async ({ body }) => {
    const wrong = Value.Errors(schema, body).find(({ keyword }) => keyword === 'type');
    if (wrong === undefined) return;
    const path = wrong.instancePath.split('/').filter(Boolean);
    let value: unknown = body;
    for (const key of path) value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
    const field = path.join('.') || 'the body';
    throw invalid(field, value, ruleOf(wrong));
  };
}
