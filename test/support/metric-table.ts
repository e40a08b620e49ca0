/** Every metric of the processes, with its help text, from the calls that make them: the table in infra/metrics.md. */
import { globSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { rooms } from './file-map.ts';

const root = join(import.meta.dirname, '../..');

export function metricTable(): string {
  const files = globSync(`{${rooms.filter(room => room !== 'test').join(',')}}/**/*.ts`, { cwd: root }).sort();
  const rows = files.flatMap(file => {
    const text = readFileSync(join(root, file), 'utf8');
    const path = relative('infra', file);
    return [...made(file, text)].map(
      ({ name, type, help }) => `| \`${name}\` | ${type} | ${help.replaceAll('|', '\\|')} | [${file}](${path}) |`,
    );
  });
  return ['| metric | type | what it is | file |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

interface Metric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
}

/** @throws where a metric is made whose name or help is not written out: the table would lack it */
function made(file: string, text: string): Metric[] {
  if (file === 'infra/metrics.ts') return [];
  const written = [
    ...text.matchAll(/\b(counter|gauge|histogram)\(\s*'(\w+)',\s*(?:'([^']*)'|"([^"]*)"|`([^`$]*)`)/g),
  ].map(([, type = '', name, ...helps]) => ({ name: `adclicks_${name}`, type, help: helps.find(Boolean) ?? '' }));
  const direct = [...text.matchAll(/new (Counter|Gauge|Histogram)\(\{\s*name: '(\w+)',\s*help: '([^']*)'/g)].map(
    ([, type = '', name = '', help = '']) => ({ name, type: type.toLowerCase(), help }),
  );
  const calls = text.match(/(?<!function )\b(?:counter|gauge|histogram)\(|new (?:Counter|Gauge|Histogram)\(/g) ?? [];
  if (calls.length !== written.length + direct.length)
    throw new Error(
      `${file} makes ${calls.length} metrics, of which ${written.length + direct.length} are written out`,
    );
  return [...written, ...direct];
}
