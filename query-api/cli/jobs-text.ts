/** Replays and reconciliations as text, one of them or a list. Pure. */
import type { AnswerOf } from '../client/client.ts';
import { textTable } from './text-table.ts';

/** `rows`: how many of the diff were asked for. */
export function replayText(replay: AnswerOf<'getReplay'>, rows: number): string {
  const { id, state, minutes_done, clicks_read, error, diff, apply } = replay;
  const head = `${state}: ${minutes_done} minutes, ${clicks_read} clicks recounted, ${diff.cells} counts differ\n`;
  if (error !== null) return `${head}${error}\n`;
  if (diff.cells === 0) return head;
  const sum = `${diff.before} → ${diff.after} clicks in those${apply ? ', restated' : '; --apply restates them'}\n`;
  const more = diff.cells > rows ? `… and ${diff.cells - rows} more: GET /v1/replays/${id}\n` : '';
  const table = textTable(
    [
      ...['minute', 'ad', 'country'].map(title => ({ title })),
      ...['before', 'after', 'change'].map(title => ({ title, isNumber: true })),
    ],
    diff.rows.map(({ minute, ad_id, country, before, after }) => {
      return [minute, ad_id, country, `${before}`, `${after}`, signed(after - before)];
    }),
  );
  return `${head}${sum}${table}${more}`;
}

export function reconciliationText({ state, error, result }: AnswerOf<'getReconciliation'>): string {
  const { cells_compared, cells_differing, conflicts, drift, minutes_left_out } = result;
  const conflicting = conflicts === 0 ? '' : `, ${conflicts} ids with copies that differ`;
  const leftOut = minutes_left_out === 0 ? '' : `, ${minutes_left_out} minutes not compared (late clicks kept coming)`;
  const head = `${state}: ${cells_compared} counts compared with raw clicks, ${cells_differing} differ${conflicting}${leftOut}\n`;
  if (error !== null) return `${head}${error}\n`;
  const table = textTable(
    [{ title: 'ad' }, ...['minutes', 'counted', 'raw', 'drift'].map(title => ({ title, isNumber: true }))],
    drift.map(ad => [ad.ad_id, `${ad.cells}`, `${ad.counted}`, `${ad.raw}`, signed(ad.drift)]),
  );
  return `${head}${table}`;
}

/** What there is in either list. */
export type ListedJob = AnswerOf<'listReplays'>['replays'][number];

/** As the lists have them: what runs, what is queued, what has ended. */
export function jobsText({
  jobs,
  hasMore,
}: {
  readonly jobs: readonly ListedJob[];
  readonly hasMore: boolean;
}): string {
  if (jobs.length === 0) return 'no jobs\n';
  const table = textTable(
    [
      ...['state', 'kind', 'why', 'from', 'to'].map(title => ({ title })),
      ...['minutes', 'of', 'differ'].map(title => ({ title, isNumber: true })),
      { title: 'id' },
    ],
    jobs.map(({ state, kind, reason, from, to, minutes_done, minutes_total, cells_changed, id }) => {
      return [state, kind, reason, from, to, `${minutes_done}`, `${minutes_total}`, `${cells_changed}`, id];
    }),
  );
  return `${table}${hasMore ? '… and more: --limit\n' : ''}`;
}

function signed(change: number): string {
  return change > 0 ? `+${change}` : `${change}`;
}
