/**
 * `npm start` begins here: what it loads comes out of the same cache of compiled code as that of its children, which has
 * to be named before anything is loaded. So a second start takes less CPU, and what strips types, 20 MB, is not loaded.
 */
import { cacheCompiledCode } from '../compile-cache.ts';

cacheCompiledCode();
await import('./main.ts');
