/**
 * Compiles the schemas of a route when the first request needs them. Fastify would compile those of all routes before it
 * listens, which is a third of what a start of the query API costs, and most of its routes are not asked for a while.
 *
 * The compilers are Fastify's own, with the options that the server gives them. What they make is the same function, and
 * a schema that cannot be compiled fails the requests of its route.
 */
import { createRequire } from 'node:module';

// As Fastify loads them. What replaces them there (test/support/compiled-once.ts) replaces them here.
const require = createRequire(import.meta.url);
const compileValidators: typeof import('@fastify/ajv-compiler') = require('@fastify/ajv-compiler');
const compileSerializers: typeof import('@fastify/fast-json-stringify-compiler') =
  require('@fastify/fast-json-stringify-compiler');

/** For Fastify's option `schemaController`. */
export function whenFirstAsked() {
  const validators = compileValidators();
  const serializers = compileSerializers();
  const buildValidator = (...given: Parameters<typeof validators>) => {
    const compile = validators(...given);
    return (route: Parameters<typeof compile>[0]) => lazyValidator(() => compile(route) as Validate);
  };
  const buildSerializer = (...given: Parameters<typeof serializers>) => {
    const compile = serializers(...given);
    return (route: Parameters<typeof compile>[0]) => {
      let serialize: ReturnType<typeof compile> | undefined;
      return (answer: unknown) => {
        serialize ??= compile(route);
        return serialize(answer);
      };
    };
  };
  // Of what ajv's type says of a compiled function, Fastify uses the call and `errors`.
  return { buildValidator: buildValidator as unknown as typeof validators, buildSerializer };
}

interface Validate {
  (part: unknown): unknown;
  /** Why the last call returned false. */
  errors?: unknown;
}

function lazyValidator(compile: () => Validate): Validate {
  let validate: Validate | undefined;
  const lazy: Validate = part => {
    validate ??= compile();
    const isValid = validate(part);
    lazy.errors = validate.errors;
    return isValid;
  };
  return lazy;
}
