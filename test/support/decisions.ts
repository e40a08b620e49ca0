/** The decisions in infra/decisions/: their titles, status and dates, and the index of them. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Decision {
  /** Its name in infra/decisions/. */
  readonly file: string;
  readonly title: string;
  /** `accepted`, or what has become of it, with links. Empty where the page does not say. */
  readonly status: string;
  /** YYYY-MM-DD; empty where the page does not say. */
  readonly date: string;
  readonly text: string;
}

export function decisions(): Decision[] {
  const folder = join(import.meta.dirname, '../../infra/decisions');
  return globSync('[0-9]*.md', { cwd: folder })
    .sort()
    .map(file => {
      const text = readFileSync(join(folder, file), 'utf8');
      const [, title = ''] = /^# \d{3} (.+)$/m.exec(text) ?? [];
      const [, status = '', date = ''] = /^Status: (.+) · Date: (\d{4}-\d\d-\d\d)$/m.exec(text) ?? [];
      return { file, title, status, date, text };
    });
}

export function decisionTable(): string {
  const rows = decisions().map(
    ({ file, title, status, date }) => `| [${file.slice(0, 3)}](${file}) | ${title} | ${status} | ${date} |`,
  );
  return ['| | decision | status | date |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
