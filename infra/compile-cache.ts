/**
 * Node keeps what it has compiled, types stripped, for the next start, which then takes a third of the CPU. It has to be told
 * where before anything large is loaded: whoever calls this loads the rest of its program by `await import`. Who cannot
 * write there starts all the same.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

export const compileCache = join(import.meta.dirname, '../node_modules/.cache/node');

/** Also for the threads and children of this process. */
export function cacheCompiledCode(): void {
  process.env['NODE_COMPILE_CACHE'] ||= compileCache;
  enableCompileCache(process.env['NODE_COMPILE_CACHE']);
}
