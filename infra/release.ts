/** The release this is, as package.json has it: for whatever states a version. */
import { readFileSync } from 'node:fs';

export const release: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
