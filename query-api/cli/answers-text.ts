/** Writes the answers of the query API as text for people. Pure. */
import type { AnswerOf } from '../client/client.ts';
import { nodesText } from './nodes-text.ts';
import { counted, type Style, shortDuration, shortTime } from './style.ts';
import { textPairs, textTable } from './text-table.ts';

export function statusText(status: AnswerOf<'getStatus'>, style: Style): string {
  const { conservation: sums, partitions } = status;
  const n = style.count;
  const sum = `${n(sums.received)} received = ${n(sums.counted)} counted + ${n(sums.duplicates)} duplicates + ${n(sums.quarantined)} quarantined`;
  const quarantine = Object.entries(status.quarantine).map(([reason, lines]) => `${n(lines)} ${reason}`);
  const head = textPairs([
    ['watermark', `${shortTime(status.watermark)} (${shortDuration(status.watermark_age_ms)} ago)`],
    ['final until', shortTime(status.final_until)],
    [
      'unread',
      sums.unread_records === null
        ? 'not known: Kafka does not answer'
        : counted(sums.unread_records, 'record', 'records', n),
    ],
    ['conservation', `${sum}  ${sums.balanced ? style.good('balanced') : style.bad('NOT balanced')}`],
    ['acknowledged', acknowledgedText(sums, style)],
    [
      'billing',
      `${n(sums.gross)} gross = ${n(sums.duplicates)} duplicates + ${n(sums.invalid)} invalid + ${n(sums.net)} net`,
    ],
    ['rows', rowsText(sums.rows, style)],
    ['late clicks', lateText(status, style)],
    ['split ads', splitText(status, style)],
    ['stalled', stalledText(partitions, style)],
    ['jobs', runnerText(status.job_runner, style)],
    ['quarantine', quarantine.join(', ') || 'empty'],
    ['hot ads', hotAdsText(status.hot_ads)],
  ]);
  const table = textTable(
    [
      ...['partition', 'position', 'unread', 'watermark age'].map(title => ({ title, isNumber: true })),
      { title: 'final until' },
      ...['received', 'counted', 'duplicates', 'quarantined', 'invalid', 'missing'].map(title => ({
        title,
        isNumber: true,
      })),
    ],
    partitions.map(row => [
      `${row.partition}`,
      n(row.position),
      row.lag_records === null ? '-' : n(row.lag_records),
      shortDuration(row.watermark_age_ms),
      shortTime(row.final_until),
      ...[row.received, row.counted, row.duplicates, row.quarantined, row.invalid, row.missing].map(n),
    ]),
  );
  return [head, nodesText(status, style), table].filter(text => text !== '').join('\n');
}

/** Compares the clicks that ingest has acknowledged with the lines that were received. */
function acknowledgedText(sums: AnswerOf<'getStatus'>['conservation'], style: Style): string {
  const n = style.count;
  const { acknowledged, unacknowledged, missing, written_off } = sums;
  const known = written_off > 0 ? ` (${n(written_off)} written off)` : '';
  const lost = missing > 0 ? style.bad(`${n(missing)} MISSING`) : style.good('none missing');
  return `${n(acknowledged)} - ${n(missing)} missing + ${n(unacknowledged)} without acknowledgement = ${n(sums.received)} received  ${lost}${known}`;
}

/** The late clicks that wait for a restatement, and those that no restatement has counted in time. */
function lateText({ pending_late: late, conservation: { uncounted } }: AnswerOf<'getStatus'>, style: Style): string {
  const n = style.count;
  const lost = (uncounted ?? 0) > 0 ? `  ${style.bad(`${n(uncounted ?? 0)} NOT COUNTED`)}` : '';
  if (late.clicks === 0) return `none waits for a restatement${lost}`;
  const [clicks, minutes] = [counted(late.clicks, 'click', 'clicks', n), counted(late.minutes, 'minute', 'minutes', n)];
  const wait = late.clicks === 1 ? 'waits' : 'wait';
  return `${clicks} of ${minutes} ${wait} for a restatement; the oldest arrived at ${shortTime(late.since)}${lost}`;
}

/** The minutes of split ads that wait for a restatement. */
function splitText({ pending_split: split }: AnswerOf<'getStatus'>, style: Style): string {
  const n = style.count;
  if (split.minutes === 0) return 'no minute waits for a restatement';
  const wait = split.minutes === 1 ? 'waits' : 'wait';
  const minutes = counted(split.minutes, 'minute', 'minutes', n);
  return `${minutes} ${wait} for a restatement, in which at most ${counted(split.clicks, 'click', 'clicks', n)} more can be invalid; the oldest is ${shortTime(split.since)}`;
}

/** The partitions that are not being counted. */
function stalledText(partitions: AnswerOf<'getStatus'>['partitions'], style: Style): string {
  const stalled = partitions.filter(({ stalled_since }) => stalled_since !== null);
  const text = stalled.map(row => `partition ${row.partition} since ${shortTime(row.stalled_since)}`);
  return stalled.length === 0 ? 'none' : style.bad(`NOT COUNTED: ${text.join(', ')}`);
}

/** The process that runs restatements, replays and reconciliations. */
function runnerText(runner: AnswerOf<'getStatus'>['job_runner'], style: Style): string {
  if (runner === null) return style.bad('NOBODY has run any yet');
  const { host, since, seen_at, runs } = runner;
  if (runs) return `run by ${host} since ${shortTime(since)}`;
  return `${style.bad('NOBODY runs them')}: ${host} was last seen at ${shortTime(seen_at)}`;
}

type Pending = Pick<AnswerOf<'getPopularAds'>, 'pending_late' | 'pending_split'>;

/** What stands beside a state: the clicks that wait for a restatement. */
function pendingText(pending: Pending, style: Style): string {
  return waitingTexts(pending, style)
    .map(text => `  ${text}`)
    .join('');
}

export function waitingTexts({ pending_late: late, pending_split: split }: Pending, style: Style): string[] {
  const texts = [
    ...(late === 0 ? [] : [counted(late, 'late click waits', 'late clicks wait', style.count)]),
    ...(split === 0 ? [] : [splitWaitsText(split, style)]),
  ];
  return texts.map(text => style.bad(text));
}

function splitWaitsText(split: number | null, style: Style): string {
  if (split === null) return 'not known which ads were split';
  return `at most ${counted(split, 'click of a split ad', 'clicks of split ads', style.count)} may become invalid`;
}

function hotAdsText(ads: AnswerOf<'getStatus'>['hot_ads']): string {
  if (ads === null) return 'not known: Kafka does not answer';
  const text = ads.map(
    ({ ad_id, from, until, partitions }) =>
      `${ad_id} over ${counted(partitions, 'partition')} ${shortTime(from)} to ${shortTime(until)}`,
  );
  return text.join(', ') || 'none';
}

function rowsText(rows: AnswerOf<'getStatus'>['conservation']['rows'], style: Style): string {
  if (rows === null || rows.checked_at === null) return 'not compared yet';
  const verdict =
    rows.difference === 0
      ? style.good('no difference')
      : style.bad(`${counted(rows.difference, 'line DIFFERS', 'lines DIFFER')}`);
  return `${verdict}, compared ${shortTime(rows.checked_at)}`;
}

/** The minutes of an answer, how final it is, and its watermark. */
function rangeText(
  {
    from,
    to,
    state,
    watermark,
    ...pending
  }: Pick<AnswerOf<'getPopularAds'>, 'from' | 'to' | 'state' | 'pending_late' | 'pending_split' | 'watermark'>,
  style: Style,
): string {
  return `${shortTime(from)} to ${shortTime(to)}  ${style.state(state)}${pendingText(pending, style)}  ${style.faint(`watermark ${shortTime(watermark)}`)}\n`;
}

export function topText(answer: AnswerOf<'getPopularAds'>, style: Style): string {
  const rows = answer.ads.map(({ rank, ad_id, ...clicks }) => [
    `${rank}`,
    ad_id,
    ...clicksCells(clicks, answer, style),
  ]);
  const columns = [{ title: 'rank', isNumber: true }, { title: 'ad' }, ...clicksColumns(answer)];
  return `${rangeText(answer, style)}${textTable(columns, rows) || noneListed}`;
}

/** The columns of clicks: the number that was asked for, and the others beside it. */
function clicksColumns({ clicks, source }: Pick<AnswerOf<'getPopularAds'>, 'clicks' | 'source'>) {
  const counted = clicks ?? (source === 'raw' ? 'clicks' : 'net');
  const beside = ['net', 'gross', 'invalid'].filter(title => title !== counted);
  return [counted, ...beside].map(title => ({ title, isNumber: true }));
}

function clicksCells(
  { count, gross, net, invalid }: Pick<AnswerOf<'getAggregatedCount'>, 'count' | 'gross' | 'net' | 'invalid'>,
  asked: Pick<AnswerOf<'getPopularAds'>, 'clicks' | 'source'>,
  style: Style,
): string[] {
  const values: Readonly<Record<string, number | null>> = { clicks: count, net, gross, invalid };
  return clicksColumns(asked).map(({ title }) => numberOr(values[title], style));
}

function numberOr(value: number | null | undefined, style: Style): string {
  return value === null || value === undefined ? '?' : style.count(value);
}

/** A click that was just posted is in the running minute, which this list leaves out. */
const noneListed = 'no clicks in these minutes; to see the running minute, give --from and --to\n';

/** One line for each ad, because each answer has a state of its own. */
export function countsText(answers: readonly AnswerOf<'getAggregatedCount'>[], style: Style): string {
  const [first] = answers;
  if (first === undefined) return '';
  const rows = answers.map(answer => [
    answer.ad_id,
    ...clicksCells(answer, answer, style),
    style.count(answer.duplicates),
    numberOr(answer.late, style),
    `${style.state(answer.state)}${pendingText(answer, style)}`,
    ...(answer.invalid_by === undefined ? [] : [reasonsText(answer, style)]),
  ]);
  const numbers = ['duplicates', 'late'].map(title => ({ title, isNumber: true }));
  const reasons = first.invalid_by === undefined ? [] : [{ title: 'invalid because' }];
  const table = textTable([{ title: 'ad' }, ...clicksColumns(first), ...numbers, { title: 'state' }, ...reasons], rows);
  return `${shortTime(first.from)} to ${shortTime(first.to)}  ${style.faint(`watermark ${shortTime(first.watermark)}`)}\n${table}`;
}

function reasonsText({ invalid_by = {}, rules }: AnswerOf<'getAggregatedCount'>, style: Style): string {
  const reasons = Object.entries(invalid_by).map(([reason, clicks]) => `${reason} ${style.count(clicks)}`);
  if (rules === undefined || rules.highest === 0) return 'no rules were applied';
  const versions =
    rules.lowest === rules.highest ? `rules ${rules.highest}` : `rules ${rules.lowest} to ${rules.highest}`;
  return `${reasons.join(', ') || 'none is'} (${versions})`;
}

/** The series of several ads side by side. */
export function seriesText(answer: AnswerOf<'getAllSeries'>, style: Style): string {
  const { series, granularity } = answer;
  const rows = (series[0]?.points ?? []).map(({ start, state }, at) => [
    shortTime(start),
    ...series.map(({ points }) => style.count(points[at]?.count ?? 0)),
    `${style.state(state)}${pendingText(sumAt(series, at), style)}`,
  ]);
  const ads = series.map(({ ad_id }) => ({ title: ad_id ?? 'all ads', isNumber: true }));
  const sums = ['total', ...series.map(({ count }) => style.count(count)), style.state(answer.state)];
  return `${rangeText(answer, style)}${textTable([{ title: granularity }, ...ads, { title: 'state' }], [...rows, sums])}`;
}

function sumAt(series: AnswerOf<'getAllSeries'>['series'], at: number): Pending {
  const points = series.flatMap(of => of.points[at] ?? []);
  const split = points.map(({ pending_split }) => pending_split);
  return {
    pending_late: points.reduce((sum, { pending_late }) => sum + pending_late, 0),
    pending_split: split.includes(null) ? null : split.reduce<number>((sum, clicks) => sum + (clicks ?? 0), 0),
  };
}
