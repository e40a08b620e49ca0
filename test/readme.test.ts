import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { configTable } from './support/config-table.ts';

it('README documents every setting with its default, as the schemas have it (node test/support/config-table.ts)', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
  const documented = readme.split('\n').filter(line => /^\| `[A-Z][A-Z_]+` \|/.test(line));
  expect(documented).toEqual(configTable().split('\n').slice(2));
});
