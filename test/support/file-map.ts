/**
 * The map of a folder: what each of its files is, by the first sentence of its header comment. A file has one place where
 * this is said, and that place is the file. Folders with a map of their own are one line in the map above them.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const root = join(import.meta.dirname, '../..');
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');

export const rooms = ['ingest', 'aggregator', 'query-api', 'infra', 'test'];

/** Every file that has to be in a map. Unit tests are not: they have the names of what they try. */
export function mappedFiles(): string[] {
  return globSync(`{${rooms.join(',')}}/**/*.{ts,js,html,css,svg,sql}`, { cwd: root })
    .filter(file => !/^test\/(unit|artifacts)\//.test(file))
    .sort();
}

/** As Markdown: a table of the files of the folder itself, then one for each folder below it. */
export function fileMap(folder: string): string {
  const inside = mappedFiles().filter(file => file.startsWith(`${folder}/`));
  const tables = new Map<string, string[]>();
  for (const file of inside) {
    const mapped = mappedFolders(folder, file);
    // The outermost folder that has a map of its own stands for all that is in it.
    const [place, row] = mapped ? [dirname(mapped), folderRow(folder, mapped)] : [dirname(file), fileRow(folder, file)];
    const rows = tables.get(place) ?? [];
    if (!rows.includes(row)) tables.set(place, [...rows, row]);
  }
  return [...tables]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([place, rows]) => {
      const heading = place === folder ? '' : `**\`${relative(folder, place)}/\`**\n\n`;
      return `${heading}| file | what it is |\n| --- | --- |\n${rows.join('\n')}`;
    })
    .join('\n\n');
}

/** What a file says of itself: the first paragraph of its header comment as one line, or null where there is none. */
export function headerOf(file: string): string | null {
  const text = textOf(file).replace(/^(#!.*\n|<!doctype html>\s*|<\?xml[^>]*>\s*)/i, '');
  const found = /^\s*(?:\/\*\*?([\s\S]*?)\*\/|<!--([\s\S]*?)-->|((?:(?:\/\/|--).*\n)+))/.exec(text);
  if (!found) return null;
  const comment = found[1] ?? found[2] ?? found[3] ?? '';
  const [paragraph = ''] = comment
    .replace(/^[^\S\n]*(?:\*|\/\/|--)[^\S\n]?/gm, '')
    .trim()
    .split(/\n[^\S\n]*\n/);
  // What introduces an example or a list ends in a colon.
  return paragraph.replace(/\s+/g, ' ').replace(/:$/, '.');
}

/** Up to the first full stop that ends a sentence. */
export function firstSentence(text: string): string {
  return /^.*?[.!?](?=\s+\S|$)/.exec(text)?.[0] ?? text;
}

/** The first paragraph of a document below its title, without links. */
export function openingOf(document: string): string {
  const [, paragraph = ''] = /^# .*\n+([^\n]+)/.exec(textOf(document)) ?? [];
  return firstSentence(paragraph.replace(/\[([^\]]+)\]\([^)]*\)/g, '$1'));
}

function mappedFolders(folder: string, file: string): string | undefined {
  const parts = relative(folder, dirname(file)).split('/').filter(Boolean);
  return parts
    .map((_, index) => join(folder, ...parts.slice(0, index + 1)))
    .find(
      inner => existsSync(join(root, inner, 'README.md')) && textOf(`${inner}/README.md`).includes('<!-- docs:map'),
    );
}

function folderRow(folder: string, inner: string): string {
  const path = relative(folder, inner);
  return `| [${path}/](${path}/README.md) | ${cell(openingOf(`${inner}/README.md`))} |`;
}

function fileRow(folder: string, file: string): string {
  const says = cell(firstSentence(headerOf(file) ?? '').replace(/^CONTRACT: /, '**Contract**: '));
  const path = relative(folder, file);
  return `| [${path.split('/').at(-1)}](${path}) | ${says} |`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
