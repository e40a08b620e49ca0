/** Writes replays and reconciliations as text, one job or a list. Pure. */
import type { AnswerOf } from '../client/client.ts';
import { counted, shortTime } from './style.ts';
import { textTable } from './text-table.ts';

/** `rows` is how many differing counts were asked for. */
export function replayText(replay: AnswerOf<'getReplay'>, rows: number): string {
  const { id, state, minutes_done, clicks_read, error, diff, apply, rules_effect } = replay;
  const head = `${state}: ${counted(minutes_done, 'minute')}, ${counted(clicks_read, 'click')} recounted, ${counted(diff.cells, 'count differs', 'counts differ')}\n`;
  if (error !== null) return `${head}${error}\n`;
  if (rules_effect !== null) return `${head}${effectText(rules_effect, apply)}`;
  if (diff.cells === 0) return head;
  const sum = `these counts: ${diff.before} → ${diff.after} clicks${netText(diff)}${apply ? ', restated' : '; --apply restates them'}\n`;
  const more = diff.cells > rows ? `… and ${diff.cells - rows} more: GET /v1/replays/${id} gives all of them\n` : '';
  const isNetShown = diff.rows.some(isOtherNet);
  const numbers = ['before', 'after', 'change', ...(isNetShown ? ['net before', 'net after', 'net change'] : [])];
  const table = textTable(
    [...['minute', 'ad', 'country'].map(title => ({ title })), ...numbers.map(title => ({ title, isNumber: true }))],
    diff.rows.map(row => {
      const { minute, ad_id, country, before, after } = row;
      const net = netOf(row);
      const ofNet = isNetShown ? [`${net.before}`, `${net.after}`, signed(net.after - net.before)] : [];
      return [minute, ad_id, country, `${before}`, `${after}`, signed(after - before), ...ofNet];
    }),
  );
  return `${head}${sum}${table}${more}`;
}

interface Compared {
  readonly before: number;
  readonly after: number;
  /** A query API of the release before says nothing of it in sums. */
  readonly invalid_before?: number;
  readonly invalid_after?: number;
}

function netOf({ before, after, invalid_before = 0, invalid_after = 0 }: Compared) {
  return { before: before - invalid_before, after: after - invalid_after };
}

function isOtherNet(compared: Compared): boolean {
  const { before, after } = netOf(compared);
  return before !== compared.before || after !== compared.after;
}

/** What is billed, where it is not the number of clicks. */
function netText(compared: Compared): string {
  if (!isOtherNet(compared)) return '';
  const { before, after } = netOf(compared);
  return `, ${before} → ${after} net (${signed(after - before)})`;
}

type Effect = NonNullable<AnswerOf<'getReplay'>['rules_effect']>;

/** The counts that differ are not listed, because rules change very many of them a little. */
function effectText(effect: Effect, isApplied: boolean): string {
  const { rules, by_reason, by_day, by_ad, net_before, net_after, money, cells_left_out } = effect;
  const said = rules === null ? 'by the draft' : `by version ${rules} of the rules`;
  const inMoney = money === null ? '' : `, ${money} in money`;
  const sum = `${said}: ${net_before} → ${net_after} valid clicks in these counts (${signed(net_after - net_before)}${inMoney})${isApplied ? ', restated' : ''}\n`;
  const numbers = ['valid before', 'valid after', 'change', ...(money === null ? [] : ['money'])];
  const columnsOf = (first: string) => [{ title: first }, ...numbers.map(title => ({ title, isNumber: true }))];
  const rowOf = (name: string, part: Pick<Effect, 'net_before' | 'net_after' | 'money'>) => [
    ...[name, `${part.net_before}`, `${part.net_after}`, signed(part.net_after - part.net_before)],
    ...(part.money === null ? [] : [part.money]),
  ];
  const reasons = textTable(
    [{ title: 'invalid because of' }, ...['before', 'after', 'change'].map(title => ({ title, isNumber: true }))],
    by_reason.map(({ reason, before, after }) => [reason, `${before}`, `${after}`, signed(after - before)]),
  );
  const days = textTable(
    columnsOf('day'),
    by_day.map(day => rowOf(day.day.slice(0, 10), day)),
  );
  const ads = textTable(
    columnsOf('ad'),
    by_ad.map(ad => rowOf(ad.ad_id, ad)),
  );
  const rest =
    cells_left_out > 0
      ? `${counted(cells_left_out, 'count is', 'counts are')} in the sums, and not in the list of ads\n`
      : '';
  return [sum, reasons, days, `${ads}${rest}`].filter(part => part !== '').join('\n');
}

export function reconciliationText({ state, error, result }: AnswerOf<'getReconciliation'>): string {
  const { cells_compared, cells_differing, conflicts, drift, minutes_left_out } = result;
  // A query API of the release before says nothing of it.
  const invalid: typeof result.invalid | undefined = result.invalid;
  const conflicting = conflicts === 0 ? '' : `, ${counted(conflicts, 'event id')} with copies that differ`;
  const leftOut =
    minutes_left_out === 0 ? '' : `, ${counted(minutes_left_out, 'minute')} not compared (about to be restated)`;
  const head = `${state}: ${counted(cells_compared, 'count')} compared with raw clicks, ${counted(cells_differing, 'differs', 'differ')}${conflicting}${leftOut}\n`;
  if (error !== null) return `${head}${error}\n`;
  const table = textTable(
    [{ title: 'ad' }, ...['minutes', 'counted', 'raw', 'drift'].map(title => ({ title, isNumber: true }))],
    drift.map(ad => [ad.ad_id, `${ad.cells}`, `${ad.counted}`, `${ad.raw}`, signed(ad.drift)]),
  );
  if (invalid === undefined || invalid.cells_compared === 0) return `${head}${table}`;
  const byRules = `invalid clicks: ${counted(invalid.cells_compared, 'count')} compared with the rules, ${counted(invalid.cells_differing, 'differs', 'differ')}\n`;
  const byReason = textTable(
    [
      ...['ad', 'invalid because of'].map(title => ({ title })),
      ...['counts', 'counted', 'by the rules', 'drift'].map(title => ({ title, isNumber: true })),
    ],
    invalid.drift.map(each => {
      const { ad_id, reason, cells, raw } = each;
      return [ad_id, reason, `${cells}`, `${each.counted}`, `${raw}`, signed(each.drift)];
    }),
  );
  return `${head}${table}${byRules}${byReason}`;
}

/** What both lists of jobs have in common. */
export type ListedJob = AnswerOf<'listReplays'>['replays'][number];

/** In the order of the lists: running, queued, ended. */
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
      ...['state', 'kind', 'reason', 'from', 'to'].map(title => ({ title })),
      ...['minutes done', 'minutes in all', 'counts that differ'].map(title => ({ title, isNumber: true })),
      { title: 'id' },
    ],
    jobs.map(({ state, kind, reason, from, to, minutes_done, minutes_total, cells_changed, id }) => {
      const minutes = [from, to].map(shortTime);
      return [state, kind, reason, ...minutes, `${minutes_done}`, `${minutes_total}`, `${cells_changed}`, id];
    }),
  );
  return `${table}${hasMore ? '… there are more: --limit shows them\n' : ''}`;
}

function signed(change: number): string {
  return change > 0 ? `+${change}` : `${change}`;
}
