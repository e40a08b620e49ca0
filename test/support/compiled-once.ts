/**
 * Fastify compiles a validator and serializers for every route of every app it builds, which takes a tenth of a second for
 * the query API; unit tests build some hundred apps. Here each schema is compiled once in a worker, by the same compilers:
 * what they make of equal schemas is the same function, and keeps nothing between calls.
 */
import { createRequire } from 'node:module';

type Compile = (route: { readonly schema: unknown }) => unknown;
type Build = (externalSchemas: unknown, options: unknown) => Compile;

const require = createRequire(createRequire(import.meta.url).resolve('fastify'));
const marked = Symbol.for('adclicks.compiled-once');

for (const compiler of ['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler']) {
  const path = require.resolve(compiler);
  require(path);
  const loaded = require.cache[path];
  if (loaded === undefined || Object.hasOwn(loaded, marked)) continue;
  Object.defineProperty(loaded, marked, { value: true });
  const select: (options?: unknown) => Build = loaded.exports;
  const compiled = new Map<string, unknown>();
  const once =
    (build: Build): Build =>
    (externalSchemas, options) => {
      const compile = build(externalSchemas, options);
      const outside = JSON.stringify([externalSchemas, options]);
      return route => {
        const key = outside + JSON.stringify(route.schema);
        const known = compiled.get(key) ?? compile(route);
        compiled.set(key, known);
        return known;
      };
    };
  loaded.exports = Object.assign((options?: unknown) => once(select(options)), select);
}
