/**
 * `npm run docs`: brings what documents repeat of the code up to date. It stands between `<!-- docs:KIND OF -->` and
 * `<!-- /docs -->`, and nobody writes there by hand; test/docs.test.ts finds what is out of date.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { alertTable } from './alert-table.ts';
import { configTable } from './config-table.ts';
import { decisionTable } from './decisions.ts';
import { fileMap, rooms } from './file-map.ts';
import { metricTable } from './metric-table.ts';
import { routeTable } from './route-table.ts';
import { statedSettings, statedSettingsPath } from './stated-settings.ts';

const root = join(import.meta.dirname, '../..');

/** All that people read, but for what is a record of its time: the changelog and what was measured. */
export function documents(): string[] {
  const patterns = ['*.md', '.github/*.md', `{${rooms.join(',')}}/**/*.md`];
  const records = ['CHANGELOG.md', 'test/bench/RESULTS.md', 'test/faults/REPORT.md'];
  return globSync(patterns, { cwd: root })
    .filter(file => !records.includes(file) && !file.startsWith('test/artifacts/'))
    .sort();
}

export interface Block {
  readonly document: string;
  readonly kind: string;
  readonly of: string;
}

export function blocksOf(document: string): Block[] {
  return [...textOf(document).matchAll(marked)].map(([, kind = '', of = '']) => ({ document, kind, of }));
}

/** The document as it should be. */
export async function documentText(document: string): Promise<string> {
  const texts = new Map<string, string>();
  for (const block of blocksOf(document)) texts.set(`${block.kind} ${block.of}`, await blockText(block));
  return textOf(document).replace(
    marked,
    (_, kind: string, of: string) =>
      `<!-- docs:${kind}${of && ` ${of}`} -->\n\n${texts.get(`${kind} ${of}`)}\n\n<!-- /docs -->`,
  );
}

const marked = /<!-- docs:(\w+) ?([^\n]*?) -->[\s\S]*?<!-- \/docs -->/g;
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');

async function blockText({ document, kind, of }: Block): Promise<string> {
  switch (kind) {
    case 'map':
      return fileMap(dirname(document));
    case 'settings':
      return configTable(of);
    case 'decisions':
      return decisionTable();
    case 'alerts':
      return alertTable();
    case 'metrics':
      return metricTable();
    case 'routes':
      return await routeTable(of);
    default:
      throw new Error(`${document} has a block of unknown kind: ${kind}`);
  }
}

if (import.meta.main) {
  for (const document of documents()) bringUpToDate(document, await documentText(document));
  bringUpToDate(statedSettingsPath, statedSettings());
}

function bringUpToDate(file: string, text: string): void {
  if (text === textOf(file)) return;
  writeFileSync(join(root, file), text);
  console.log(`${file} is up to date now`);
}
