/** The number of this release, as in package.json. */
import { readFileSync } from 'node:fs';

export const release: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
