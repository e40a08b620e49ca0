/**
 * `npm start` begins here: what it loads comes out of the same cache of compiled code as that of its children, which has
 * to be named before anything is loaded. So a second start takes less CPU, and what strips types, 20 MB, is not loaded.
 */
import { enableCompileCache } from 'node:module';
import { compileCache } from './service.ts';

// Also for the threads of this process.
process.env['NODE_COMPILE_CACHE'] ||= compileCache;
enableCompileCache(process.env['NODE_COMPILE_CACHE']);
await import('./main.ts');
