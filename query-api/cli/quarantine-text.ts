/** What is in quarantine, and what became of retried lines, as text. Pure. */
import type { AnswerOf } from '../client/client.ts';
import { printed } from './printed.ts';
import type { QuarantinedLine } from './quarantined-lines.ts';
import type { Style } from './style.ts';
import { textTable } from './text-table.ts';

export interface RetryResult {
  readonly reason: string;
  readonly lines: number;
  readonly accepted: number;
  /** Lines that are no click yet, or that ingest refuses again. */
  readonly refused: readonly { readonly place: string; readonly problem: string }[];
}

type Outcome = QuarantinedLine['outcome'];

/** As the dashboard says it: what has become of a line that was not counted when it came. */
export const outcomeWords = {
  restated: 'counted since',
  waiting: 'waiting',
  not_counted: 'not counted',
} as const satisfies Record<Outcome, string>;

export function quarantineText({ reasons, lines }: AnswerOf<'getQuarantine'>, style: Style): string {
  if (reasons.length === 0) return 'nothing is in quarantine\n';
  const sums = textTable(
    [{ title: 'reason' }, ...['lines', ...Object.values(outcomeWords)].map(title => ({ title, isNumber: true }))],
    reasons.map(({ reason, ...row }) => [
      reason,
      ...[row.lines, row.restated, row.waiting, row.not_counted].map(style.count),
    ]),
  );
  const newest = textTable(
    ['place', 'when', 'reason', 'now', 'ad', 'detail', 'line'].map(title => ({ title })),
    lines.map(line => [
      placeOf(line),
      line.appended_at,
      line.reason,
      outcomeWords[line.outcome],
      line.ad_id || '-',
      printed(line.detail, 60),
      printed(line.raw, 80),
    ]),
  );
  return newest === '' ? sums : `${sums}\n${newest}`;
}

export function retryText({ lines, accepted, refused }: RetryResult, style: Style): string {
  const head = `${style.count(lines)} lines: ${style.count(accepted)} accepted, ${style.count(refused.length)} refused\n`;
  const shown = refused.slice(0, maxShown).map(({ place, problem }) => [place, printed(problem, 160)]);
  const more = refused.length > maxShown ? `… and ${refused.length - maxShown} more\n` : '';
  return `${head}${textTable([{ title: 'place' }, { title: 'why' }], shown)}${more}`;
}

/** Partition, offset and line: where it stands in the log. */
export function placeOf({ partition, offset, line }: QuarantinedLine): string {
  return `${partition}/${offset}/${line}`;
}

const maxShown = 50;
