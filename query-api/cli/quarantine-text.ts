/** Writes the lines in quarantine, and the result of a retry, as text. Pure. */
import type { AnswerOf } from '../client/client.ts';
import { printed } from './printed.ts';
import type { QuarantinedLine } from './quarantined-lines.ts';
import { counted, type Style } from './style.ts';
import { textTable } from './text-table.ts';

export interface RetryResult {
  readonly reason: string;
  readonly lines: number;
  readonly accepted: number;
  /** Lines that are not a click, or that ingest refuses again. */
  readonly refused: readonly { readonly place: string; readonly problem: string }[];
}

type Outcome = QuarantinedLine['outcome'];

/** The outcome of a line in the words of the dashboard. */
export const outcomeWords = {
  restated: 'counted since',
  waiting: 'waiting',
  not_counted: 'not counted',
} as const satisfies Record<Outcome, string>;

export function quarantineText({ reasons, lines }: AnswerOf<'getQuarantine'>, style: Style): string {
  if (reasons.length === 0) return 'no line is in quarantine\n';
  const sums = textTable(
    [{ title: 'reason' }, ...['lines', ...Object.values(outcomeWords)].map(title => ({ title, isNumber: true }))],
    reasons.map(({ reason, ...row }) => [
      reason,
      ...[row.lines, row.restated, row.waiting, row.not_counted].map(style.count),
    ]),
  );
  const newest = textTable(
    ['partition/offset/line', 'arrived at', 'reason', 'outcome', 'ad', 'detail', 'line'].map(title => ({ title })),
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
  const head = `${counted(lines, 'line', 'lines', style.count)}: ${style.count(accepted)} accepted, ${style.count(refused.length)} refused\n`;
  const shown = refused.slice(0, maxShown).map(({ place, problem }) => [place, printed(problem, 160)]);
  const more = refused.length > maxShown ? `… and ${refused.length - maxShown} more\n` : '';
  return `${head}${textTable([{ title: 'partition/offset/line' }, { title: 'reason' }], shown)}${more}`;
}

/** Where a line stands in the log. */
export function placeOf({ partition, offset, line }: QuarantinedLine): string {
  return `${partition}/${offset}/${line}`;
}

const maxShown = 50;
