import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configTable } from './support/config-table.ts';

it('README documents every setting with its default, as the schemas have it (node test/support/config-table.ts)', () => {
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8');
  const documented = readme.split('\n').filter(line => /^\| `[A-Z][A-Z_]+` \|/.test(line));
  expect(documented).toEqual(configTable().split('\n').slice(2));
});

describe('README’s pictures (npm run screenshots)', () => {
  const root = join(import.meta.dirname, '..');
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const shown = [...readme.matchAll(/(?:src|srcset)="([^"]+)"|!\[[^\]]*\]\(([^)]+)\)/g)].map(
    ([, a, b]) => a ?? b ?? '',
  );

  it('are there, each described, small enough to load, and all of them shown', () => {
    expect(shown.length).toBeGreaterThan(4);
    expect(shown.filter(file => !existsSync(join(root, file)))).toEqual([]);
    expect(shown.filter(file => statSync(join(root, file)).size > 150_000)).toEqual([]);
    expect(readme.match(/<img(?![^>]*\balt="[^"]{10,}")/g) ?? []).toEqual([]);
    const pictures = readdirSync(join(root, 'infra/tour')).map(file => `infra/tour/${file}`);
    expect(pictures.filter(file => !shown.includes(file))).toEqual([]);
  });
});
