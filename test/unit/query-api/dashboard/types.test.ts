/** The type check of the dashboard reports each bug that is planted into a copy of it, and nothing else. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../../..');

const planted = [
  {
    bug: 'a field that the API has renamed',
    file: 'query-api/client/operations.ts',
    edit: ['readonly clicks_read: number', 'readonly raw_clicks_read: number'],
    seenIn: 'query-api/dashboard/parts/job-card.js',
    says: "Property 'clicks_read' does not exist",
  },
  {
    bug: 'a field that the API does not have',
    file: 'query-api/dashboard/parts/click-trail.js',
    edit: ['value: copy => copy.country', 'value: copy => copy.country_code'],
    says: "Property 'country_code' does not exist",
  },
  {
    bug: 'a field of a live event that there is not',
    file: 'query-api/dashboard/parts/banner.js',
    edit: ['latest.at', 'latest.as_of'],
    says: "Property 'as_of' does not exist",
  },
  {
    bug: 'a parameter that the API does not take',
    file: 'query-api/dashboard/parts/stored-filter.js',
    edit: ['{ limit: 200, cursor }', '{ max: 200, cursor }'],
    says: "'max' does not exist",
  },
  {
    bug: 'a path that the API does not have',
    file: 'query-api/dashboard/parts/countries.js',
    edit: ["'/v1/ads/countries'", "'/v1/ads/by_country'"],
    says: '"/v1/ads/by_country"\' is not assignable',
  },
  {
    bug: 'a number that may be unknown, taken as known',
    file: 'query-api/dashboard/parts/conservation.js',
    edit: ['uncounted !== null && uncounted > 0', 'uncounted > 0'],
    says: "'uncounted' is possibly 'null'",
  },
  {
    bug: 'an attribute that no element has',
    file: 'query-api/dashboard/parts/table.js',
    edit: ["tabindex: '0'", "tabIndex: '0'"],
    says: "'tabIndex' does not exist",
  },
  {
    bug: 'an option that charts do not have',
    file: 'query-api/dashboard/chart.js',
    edit: ['legend: { show: false }', 'legend: { shown: false }'],
    says: "'shown' does not exist",
  },
] as const;

describe('the type check of the dashboard', () => {
  let copy: string;
  let reported: readonly string[];

  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'dashboard-types-'));
    for (const path of ['package.json', 'tsconfig.json', 'query-api/dashboard', 'query-api/client/operations.ts'])
      cpSync(join(root, path), join(copy, path), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    for (const { file, edit } of planted) {
      const text = readFileSync(join(copy, file), 'utf8');
      expect(text, file).toContain(edit[0]);
      writeFileSync(join(copy, file), text.replaceAll(edit[0], edit[1]));
    }
    const tsc = join(root, 'node_modules/.bin/tsc');
    const { stdout } = spawnSync(tsc, ['-p', 'query-api/dashboard', '--pretty', 'false'], { cwd: copy });
    reported = String(stdout)
      .split(/\n(?! )/)
      .filter(error => error !== '');
  }, 300_000);
  afterAll(() => rmSync(copy, { recursive: true, force: true }));

  it.each(planted)('reports $bug', bug => {
    const file = 'seenIn' in bug ? bug.seenIn : bug.file;
    expect(reported.filter(error => error.startsWith(`${file}(`)).join('\n')).toContain(bug.says);
  });

  it('reports nothing where no bug is planted', () => {
    const files: readonly string[] = planted.map(bug => ('seenIn' in bug ? bug.seenIn : bug.file));
    expect(reported.filter(error => !files.includes(error.split('(')[0] ?? ''))).toEqual([]);
  });
});
