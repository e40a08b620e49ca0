/**
 * Starts `npm start` with the cache of compiled code that its children also use. The cache must be named before
 * anything is loaded. So a second start takes less CPU, and the type stripper, which takes 20 MB, is not loaded.
 */
import { cacheCompiledCode } from '../compile-cache.ts';

cacheCompiledCode();
await import('./main.ts');
