/** The laws of one job runner, checked on what topic `job-results` holds, as Kafka's own client reads it. */
import type { ReadLine } from '../support/read-committed.ts';
import { failures } from './checks.ts';

interface Restatement {
  readonly minute: number;
  readonly ad_id: string;
  readonly country: string;
  readonly job: string;
  readonly revision: number;
  readonly before: number;
  readonly after: number;
}

interface Term {
  readonly since: number;
  readonly instance: string;
}

/** What breaks them; nothing if they hold. */
export function oneRunner(results: readonly ReadLine[]): string[] {
  const lines = results.toSorted((a, b) => a.offset - b.offset);
  return [...termsFollow(lines), ...restatedOnce(lines)];
}

/** A runner that another has succeeded says nothing any more: terms stand one after another, each later than the one before. */
function termsFollow(lines: readonly ReadLine[]): string[] {
  const said = lines.filter(({ kind }) => kind === 'job-runner').map(({ line }) => JSON.parse(line) as Term);
  const broken = said.filter(({ since, instance }, i) => {
    const before = said[i - 1];
    return before !== undefined && before.instance !== instance && since <= before.since;
  });
  return failures(
    'I12 terms follow each other',
    said,
    term => broken.includes(term),
    term => JSON.stringify(term),
  );
}

/** Of each count every revision is there once, in order, and begins with what was stated before it. */
function restatedOnce(lines: readonly ReadLine[]): string[] {
  const stated = new Map<string, Restatement>();
  const told = lines.filter(({ kind }) => kind === 'restatement').map(({ line }) => JSON.parse(line) as Restatement);
  const broken = told.filter(row => {
    const key = `${row.minute}|${row.ad_id}|${row.country}`;
    const before = stated.get(key);
    stated.set(key, row);
    return row.revision !== (before?.revision ?? 0) + 1 || (before !== undefined && row.before !== before.after);
  });
  return failures(
    'I12 each restatement once',
    told,
    row => broken.includes(row),
    row => JSON.stringify(row),
  );
}
