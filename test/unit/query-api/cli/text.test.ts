import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTime } from '../../../../ingest/click.ts';
import { countsText, seriesText, statusText, topText } from '../../../../query-api/cli/answers-text.ts';
import { minuteOf, timeOf } from '../../../../query-api/cli/cli.ts';
import { clickText } from '../../../../query-api/cli/click-command.ts';
import { jobsText, reconciliationText, replayText } from '../../../../query-api/cli/jobs-text.ts';
import { liveText } from '../../../../query-api/cli/live-text.ts';
import { nodesText } from '../../../../query-api/cli/nodes-text.ts';
import { partitionsText } from '../../../../query-api/cli/partitions-command.ts';
import { printed } from '../../../../query-api/cli/printed.ts';
import { outcomeWords, quarantineText } from '../../../../query-api/cli/quarantine-text.ts';
import { shortDuration, shortTime, styleFor } from '../../../../query-api/cli/style.ts';
import { textTable } from '../../../../query-api/cli/text-table.ts';
import type { AnswerOf } from '../../../../query-api/client/client.ts';
import { allValid } from '../../../support/shown-counts.ts';

const bare = styleFor({ isTerminal: false, hasColour: false });
const coloured = styleFor({ isTerminal: true, hasColour: true });
const minute = { from: '2025-11-22T08:26:00.000Z', to: '2025-11-22T08:27:00.000Z' };
const watermark = '2025-11-22T08:29:31.204Z';
const job = {
  ...{ id: '01K', kind: 'replay' as const, reason: 'replay', state: 'done' as const, apply: false, ...minute },
  ...{ minutes_done: 4, minutes_total: 4, clicks_read: 2, cells_changed: 0, error: null },
  ...{ created_at: watermark, updated_at: watermark },
};

describe('a table', () => {
  it('has aligned columns with numbers at the right, whatever its cells and colours are', () => {
    const cell = fc.stringMatching(/^[a-z0-9]{1,12}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 10 }), rows => {
        const columns = [{ title: 'name' }, { title: 'value', isNumber: true }];
        const plain = textTable(columns, rows);
        const lines = plain.trimEnd().split('\n');
        expect(lines).toHaveLength(rows.length + 1);
        expect(new Set(lines.map(line => line.length)).size).toBe(1);
        expect(lines.slice(1).map(line => line.split(/ +/))).toEqual(rows);
        const red = rows.map(([name, value]) => [`\u001b[31m${name}\u001b[39m`, value]);
        expect(textTable(columns, red).replaceAll(/\u001b\[\d+m/g, '')).toBe(plain);
      }),
    );
  });
});

describe('times', () => {
  it('are printed in a form that each service and each option of these commands accepts', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_294_900_000_000 }), ms => {
        const text = shortTime(new Date(ms).toISOString());
        expect(parseTime(text)).toBe(ms);
        expect(timeOf(text)).toBe(text);
        const said: string[] = [];
        const [from, to] = (['--from', '--to'] as const).map(option => {
          return parseTime(minuteOf(option, line => said.push(line))(text)) ?? Number.NaN;
        });
        const minuteMs = 60_000;
        expect([from, to]).toEqual([ms - (ms % minuteMs), Math.ceil(ms / minuteMs) * minuteMs]);
        expect(said).toHaveLength(ms % minuteMs === 0 ? 0 : 2);
      }),
    );
  });

  it('are rounded to a minute, which is said, and a text that is not a time is passed on', () => {
    const said: string[] = [];
    const from = minuteOf('--from', line => said.push(line));
    expect(from('2025-11-22T17:26:31+09:00')).toBe('2025-11-22T08:26:00Z');
    expect(from('1763800000001')).toBe('2025-11-22T08:26:00Z');
    expect(said[0]).toBe('adclicks: --from 2025-11-22T17:26:31+09:00 is rounded down to 2025-11-22T08:26:00Z\n');
    for (const text of ['yesterday', '', '-1', '2025-11-22', '2025-11-22T08:26:31', '99999999999999999999', 'NaN'])
      expect(from(text)).toBe(text);
    expect(said).toHaveLength(2);
  });

  it('may be given without seconds', () => {
    expect(timeOf('2025-11-22T08:26Z')).toBe('2025-11-22T08:26:00Z');
    expect(timeOf('2025-11-22T17:26+09:00')).toBe('2025-11-22T17:26:00+09:00');
    for (const text of ['2025-11-22T08:26:01.500Z', '1763800000000', 'yesterday']) expect(timeOf(text)).toBe(text);
  });
});

describe('text for people', () => {
  const from = { source: 'counts' as const, next_cursor: null };
  const top = {
    ...minute,
    ...from,
    state: 'final' as const,
    pending_late: 0,
    pending_split: 0,
    watermark,
    ads: [{ rank: 1, ad_id: 'ad-42', count: 1234, gross: 1300, net: 1234, invalid: 60 }],
  };

  it('shows a top list, without marks and colours for a pipe', () => {
    expect(topText(top, bare)).toBe(
      '2025-11-22T08:26:00Z to 2025-11-22T08:27:00Z  final  watermark 2025-11-22T08:29:31.204Z\n' +
        'rank  ad      net  gross  invalid\n' +
        '   1  ad-42  1234   1300       60\n',
    );
    expect(topText({ ...top, ads: [] }, bare)).toMatch(
      /no clicks in these minutes; to see the running minute, give --from and --to\n$/,
    );
  });

  it('shows marks, separators and colours to a person', () => {
    expect(topText(top, coloured)).toContain('\u001b[32m● final\u001b[39m');
    expect(topText(top, coloured)).toContain('1,234');
  });

  it('shows counts of several ads, each with its state', () => {
    const count = {
      ad_id: 'a',
      ...minute,
      source: 'counts' as const,
      ...{ count: 5, duplicates: 2, late: 1, gross: 11, net: 5, invalid: 4 },
      state: 'restated' as const,
      pending_late: 0,
      pending_split: 0,
      watermark,
    };
    const waiting = { ...count, ad_id: 'ad-b', state: 'final' as const, pending_late: 3 };
    expect(countsText([count, waiting], bare)).toBe(
      '2025-11-22T08:26:00Z to 2025-11-22T08:27:00Z  watermark 2025-11-22T08:29:31.204Z\n' +
        'ad    net  gross  invalid  duplicates  late  state\n' +
        'a       5     11        4           2     1  restated\n' +
        'ad-b    5     11        4           2     1  final  3 late clicks wait\n',
    );
    const split = (pending_split: number | null) => countsText([{ ...waiting, pending_split }], bare);
    expect(split(1_200)).toContain('3 late clicks wait  at most 1200 clicks of split ads may become invalid\n');
    expect(split(null)).toContain('3 late clicks wait  not known which ads were split\n');
    const why = { invalid_by: { known_bot: 3, double_click: 1 }, rules: { lowest: 2, highest: 3 } };
    expect(countsText([{ ...count, ...why }], bare)).toContain('known_bot 3, double_click 1 (rules 2 to 3)\n');
    const gross = countsText([{ ...count, clicks: 'gross', count: 11 }], bare).split('\n');
    expect(gross.slice(1, 3)).toEqual([
      'ad  gross  net  invalid  duplicates  late  state',
      'a      11    5        4           2     1  restated',
    ]);
    const raw = { ...count, source: 'raw' as const, net: null, invalid: null, late: null };
    expect(countsText([raw], bare).split('\n')[2]).toBe('a        5    ?     11        ?           2     ?  restated');
  });

  it('shows a series with its ads side by side, and the sum', () => {
    const told = { state: 'provisional' as const, pending_late: 0, pending_split: 0 };
    const counts = allValid({ count: 7, duplicates: 0, late: 0 });
    const point = { start: minute.from, ...counts, ...told };
    const series = [
      { ad_id: 'a', ...counts, points: [point] },
      { ad_id: 'b', ...counts, points: [{ ...point, count: 0, pending_late: 2, pending_split: 5 }] },
    ];
    const text = seriesText(
      { ...minute, source: 'counts', granularity: 'minute', ...told, pending_late: 2, watermark, series },
      bare,
    );
    expect(text).toMatch(/^[^\n]* provisional {2}2 late clicks wait/);
    expect(text.split('\n').slice(1)).toEqual([
      'minute                a  b  state',
      '2025-11-22T08:26:00Z  7  0  provisional  2 late clicks wait  at most 5 clicks of split ads may become invalid',
      'total                 7  7  provisional',
      '',
    ]);
  });

  it('shows the ClickHouse nodes if there are several: state, lag, unread records, and why one does not answer', () => {
    const topics = [{ topic: 'clicks', position: 1_200, lag_records: 3 }];
    const node = { node: 'a:8123', shard: 0, since: minute.from, why: null, topics };
    const nodes = [
      { ...node, state: 'reading' as const, lag_ms: 0 },
      { ...node, node: 'b:8123', state: 'away' as const, why: 'connect ECONNREFUSED', lag_ms: null, topics: [] },
    ];
    expect(nodesText({ nodes, replicas: { checked_at: minute.to, differences: 2 } }, bare).split('\n')).toEqual([
      'node    shard  state    since                  lag  clicks, unread  why',
      'a:8123  0      reading  2025-11-22T08:26:00Z  0 ms         1200, 3',
      'b:8123  0      away     2025-11-22T08:26:00Z     ?               -  connect ECONNREFUSED',
      'replicas DIFFER in 2 hours, compared 2025-11-22T08:27:00Z',
      '',
    ]);
    expect(nodesText({ nodes: nodes.slice(0, 1), replicas: null }, bare)).toBe('');
  });

  it('shows a status: what is unread, whether it balances, and what is not known', () => {
    const acks = { acknowledged: 10, unacknowledged: 2, missing: 0, written_off: 0 };
    const judged = { gross: 11, invalid: 3, net: 6 };
    const sums = { received: 12, counted: 9, duplicates: 2, quarantined: 1, ...judged, ...acks };
    const partition = {
      ...{ partition: 0, position: 40, end_offset: 45, lag_records: 5, watermark, watermark_age_ms: 3_200 },
      ...{ appended_at: watermark, final_until: minute.to, stalled_since: null, ...sums, balance: 0 },
    };
    const rows = { checked_at: minute.to, difference: 0, differences: [] };
    const status = {
      ...{ watermark, watermark_age_ms: 3_200, final_until: minute.to, partitions: [partition] },
      conservation: { ...sums, unread_records: 5, balanced: true, uncounted: 0, rows },
      pending_late: { clicks: 0, minutes: 0, since: null },
      pending_split: { clicks: 0, minutes: 0, since: null },
      late: { clicks: 0, minutes: 0, since: null },
      hot_ads: [{ ad_id: 'ad-hot', from: minute.from, until: minute.to, partitions: 4 }],
      ...{ nodes: [], replicas: null },
      job_runner: { host: 'a:8084', since: minute.from, seen_at: minute.to, runs: true },
      quarantine: { future: 1 },
    };
    const text = statusText(status, bare);
    expect(text).toContain('12 received = 9 counted + 2 duplicates + 1 quarantined  balanced');
    expect(text).toContain('no difference, compared 2025-11-22T08:27:00Z');
    expect(text).toContain('ad-hot over 4 partitions 2025-11-22T08:26:00Z to 2025-11-22T08:27:00Z');
    expect(text).toMatch(/ 0 +40 +5 +3\.2 s +2025-11-22T08:27:00Z +12 +9 +2 +1 +3 +0\n$/);
    expect(text).toContain('11 gross = 2 duplicates + 3 invalid + 6 net');
    expect(text).toContain('10 - 0 missing + 2 without acknowledgement = 12 received  none missing');
    expect(text).toContain('none waits for a restatement');
    expect(text).toContain('no minute waits for a restatement');
    expect(text).toContain('run by a:8084 since 2025-11-22T08:26:00Z');
    const lost = { acknowledged: 14, missing: 4, written_off: 1, uncounted: 6 };
    const late = { clicks: 7, minutes: 2, since: minute.from };
    const silent = { ...status.job_runner, runs: false };
    const wrong = {
      ...{ ...status.conservation, ...lost, unread_records: null, balanced: false },
      rows: { ...rows, difference: 3 },
    };
    const bad = statusText(
      {
        ...{ ...status, conservation: wrong, pending_late: late, hot_ads: null, job_runner: silent, quarantine: {} },
        pending_split: { clicks: 9, minutes: 1, since: minute.from },
        partitions: [{ ...partition, stalled_since: minute.from }],
      },
      bare,
    );
    for (const words of [
      'NOT balanced',
      '14 - 4 missing + 2 without acknowledgement = 12 received  4 MISSING (1 written off)',
      '3 lines DIFFER',
      '7 clicks of 2 minutes wait for a restatement; the oldest arrived at 2025-11-22T08:26:00Z  6 NOT COUNTED',
      '1 minute waits for a restatement, in which at most 9 clicks more can be invalid; the oldest is 2025-11-22T08:26:00Z',
      'NOBODY runs them: a:8084 was last seen at 2025-11-22T08:27:00Z',
      'Kafka does not answer',
      'NOT COUNTED: partition 0 since 2025-11-22T08:26:00Z',
      'empty',
    ])
      expect(bad).toContain(words);
  });

  it('shows what a replay would change, and how much it does not show', () => {
    const invalid = { invalid_before: 0, invalid_after: 0 };
    const diff = { minute: minute.from, ad_id: 'ad_1', country: 'KR', before: 3, after: 1, ...invalid };
    const replay = {
      ...job,
      rules_effect: null,
      diff: { cells: 2, before: 3, after: 2, ...invalid, rows: [diff], next_cursor: null },
    };
    expect(replayText(replay, 1).split('\n')).toEqual([
      'done: 4 minutes, 2 clicks recounted, 2 counts differ',
      'these counts: 3 → 2 clicks; --apply restates them',
      'minute                    ad    country  before  after  change',
      '2025-11-22T08:26:00.000Z  ad_1  KR            3      1      -2',
      '… and 1 more: GET /v1/replays/01K gives all of them',
      '',
    ]);
    expect(replayText({ ...replay, error: 'out of disk', state: 'failed' }, 1)).toContain('out of disk');
  });

  it('shows net clicks where a replay finds other ones invalid, also if it finds as many clicks', () => {
    const numbers = { before: 16, after: 16, invalid_before: 6, invalid_after: 0 };
    const rows = [{ minute: minute.from, ad_id: 'ad_1', country: 'KR', ...numbers }];
    const replay = { ...job, rules_effect: null, diff: { cells: 1, ...numbers, rows, next_cursor: null } };
    expect(replayText(replay, 1).split('\n')).toEqual([
      'done: 4 minutes, 2 clicks recounted, 1 count differs',
      'these counts: 16 → 16 clicks, 10 → 16 net (+6); --apply restates them',
      'minute                    ad    country  before  after  change  net before  net after  net change',
      '2025-11-22T08:26:00.000Z  ad_1  KR           16     16       0          10         16          +6',
      '',
    ]);
  });

  it('shows what other rules would change, by reason, day and ad, and in money', () => {
    const judged = (invalid_before: number, invalid_after: number) => ({
      ...{ clicks_before: 9, clicks_after: 9, invalid_before, invalid_after },
      ...{ net_before: 9 - invalid_before, net_after: 9 - invalid_after, money: '-0.50' },
    });
    const rules_effect = {
      ...{ rules: 2, draft_rules: null, price_per_click: '0.25', cells: 1, cells_left_out: 7, ...judged(1, 3) },
      by_reason: [{ reason: 'user_velocity' as const, before: 1, after: 3 }],
      by_day: [{ day: minute.from, ...judged(1, 3) }],
      by_ad: [{ ad_id: 'ad_1', cells: 1, ...judged(1, 3) }],
    };
    const diff = { cells: 1, before: 9, after: 9, invalid_before: 1, invalid_after: 3, rows: [], next_cursor: null };
    expect(replayText({ ...job, rules_effect, diff }, 1)).toBe(`\
done: 4 minutes, 2 clicks recounted, 1 count differs
by version 2 of the rules: 8 → 6 valid clicks in these counts (-2, -0.50 in money)

invalid because of  before  after  change
user_velocity            1      3      +2

day         valid before  valid after  change  money
2025-11-22             8            6      -2  -0.50

ad    valid before  valid after  change  money
ad_1             8            6      -2  -0.50
7 counts are in the sums, and not in the list of ads
`);
  });

  const noRules = {
    ...{ cells_compared: 0, cells_differing: 0, cells_split: 0, cells_unsure: 0, by_reason: [], drift: [] },
  };

  it('shows which clicks are not as invalid as the rules say', () => {
    const drift = [{ ad_id: 'a', reason: 'double_click', cells: 2, counted: 5, raw: 3, drift: -2 }];
    const result = {
      ...{ cells_compared: 9, cells_differing: 0, conflicts: 0, drift: [], minutes: [], minutes_left_out: 0 },
      invalid: { ...noRules, cells_compared: 8, cells_differing: 2, drift },
    };
    expect(reconciliationText({ ...job, kind: 'reconcile', result })).toBe(
      'done: 9 counts compared with raw clicks, 0 differ\n' +
        'invalid clicks: 8 counts compared with the rules, 2 differ\n' +
        'ad  invalid because of  counts  counted  by the rules  drift\n' +
        'a   double_click             2        5             3     -2\n',
    );
  });

  it('says nothing of invalid clicks where the query API is of the release before, which does not either', () => {
    const result = {
      ...{ cells_compared: 9, cells_differing: 0, conflicts: 0, drift: [], minutes: [], minutes_left_out: 0 },
    } as unknown as AnswerOf<'getReconciliation'>['result'];
    expect(reconciliationText({ ...job, kind: 'reconcile', result })).toBe(
      'done: 9 counts compared with raw clicks, 0 differ\n',
    );
  });

  it('shows the drift that a reconciliation has found', () => {
    const drift = [{ ad_id: 'a', cells: 1, counted: 5, raw: 7, drift: 2 }];
    const result = {
      cells_compared: 9,
      cells_differing: 1,
      conflicts: 1,
      drift,
      minutes: [minute.from],
      minutes_left_out: 0,
      invalid: noRules,
    };
    expect(reconciliationText({ ...job, kind: 'reconcile', result })).toBe(
      'done: 9 counts compared with raw clicks, 1 differs, 1 event id with copies that differ\n' +
        'ad  minutes  counted  raw  drift\n' +
        'a         1        5    7     +2\n',
    );
  });

  it('says how many minutes a reconciliation has left out', () => {
    const result = {
      ...{ cells_compared: 9, cells_differing: 0, conflicts: 0, drift: [], minutes: [], minutes_left_out: 2 },
      invalid: noRules,
    };
    expect(reconciliationText({ ...job, kind: 'reconcile', result })).toBe(
      'done: 9 counts compared with raw clicks, 0 differ, 2 minutes not compared (about to be restated)\n',
    );
  });

  it('shows jobs as a table, and says if there are more', () => {
    expect(jobsText({ jobs: [{ ...job, state: 'running' }], hasMore: true }).split('\n')).toEqual([
      expect.stringMatching(/^state +kind +reason +from +to +minutes done +minutes in all +counts that differ +id$/),
      expect.stringMatching(/^running +replay +replay +2025-11-22T\S+ +2025-11-22T\S+ +\d+ +\d+ +\d+ +01K$/),
      '… there are more: --limit shows them',
      '',
    ]);
    expect(jobsText({ jobs: [], hasMore: false })).toBe('no jobs\n');
  });

  it('shows a live event as one line, and each restatement as another', () => {
    const ads = [allValid({ rank: 1, ad_id: 'a', count: 5 })];
    const top = { start: minute.from, state: 'provisional' as const, pending_late: 0, pending_split: 0, ads };
    const change = {
      ...{
        minute: minute.from,
        ad_id: 'a',
        country: 'KR',
        revision: 1,
        job: '01K',
        reason: 'late',
        before: 4,
        after: 5,
        ...{ before_net: 1, after_net: 2, before_rules: 0, after_rules: 0 },
      },
      at: watermark,
    };
    const event = {
      ...{
        at: watermark,
        tenant: null,
        kafka: 'up' as const,
        watermark,
        watermark_age_ms: 900,
        final_until: null,
        lag_records: 0,
      },
      stalled: [],
      ...{
        clicks_per_second: 2.4,
        totals: { received: 1, counted: 1, duplicates: 0, quarantined: 0, ...{ gross: 1, invalid: 0, net: 1 } },
      },
      ...{ pending_late: 0, pending_split: 0, minutes: [], current: top, last: top, changes: [change] },
    };
    expect(liveText(event, bare)).toBe(
      '2025-11-22T08:29:31.204Z  2/s  1 counted  0 unread  watermark age 900 ms  top a 5\n' +
        '2025-11-22T08:29:31.204Z  restated  2025-11-22T08:26:00Z a KR: 1 → 2 (late, job 01K)\n',
    );
    expect(liveText({ ...event, lag_records: null }, bare)).toContain('Kafka does not answer');
    const stalled = [{ partition: 3, since: minute.from }];
    expect(liveText({ ...event, stalled }, bare)).toContain('  partition 3 NOT COUNTED since 2025-11-22T08:26:00Z  ');
    expect(liveText({ ...event, pending_late: 4 }, bare)).toContain('  4 late clicks wait  ');
    const ofTenant = { ...event, tenant: 'acme', totals: null, lag_records: null, changes: [] };
    expect(liveText(ofTenant, bare)).toBe('2025-11-22T08:29:31.204Z  2/s  watermark age 900 ms  top a 5\n');
  });
});

describe('lines in quarantine', () => {
  it('have their outcome in the words of the dashboard', async () => {
    const pages = new URL('../../../../query-api/dashboard/parts/outcomes.js', import.meta.url).href;
    const { outcomes } = await import(pages);
    expect(Object.entries(outcomeWords)).toEqual(
      Object.entries(outcomes).map(([outcome, said]) => [outcome, Object(said).text]),
    );
    const place = { partition: 2, offset: 7, line: 0, appended_at: watermark, ad_id: 'a', event_id: 'e' };
    const line = {
      ...place,
      reason: 'too_late',
      detail: '-',
      clicked_at: minute.from,
      raw: '{}',
      outcome: 'waiting' as const,
    };
    const reasons = [{ reason: 'too_late', lines: 6, restated: 3, waiting: 2, not_counted: 1 }];
    const text = quarantineText({ watermark, reasons, lines: [line], next_cursor: null }, bare);
    expect(text.split('\n').map(row => row.trim().split(/ {2,}/))).toEqual([
      ['reason', 'lines', 'counted since', 'waiting', 'not counted'],
      ['too_late', '6', '3', '2', '1'],
      [''],
      ['partition/offset/line', 'arrived at', 'reason', 'outcome', 'ad', 'detail', 'line'],
      ['2/7/0', watermark, 'too_late', 'waiting', 'a', '-', '{}'],
      [''],
    ]);
  });
});

it('shows what became of each copy of a click, and nothing of it moves the cursor', () => {
  const copy = {
    ...{ click_id: '01A', ad_id: 'ad-1', country: 'KR', received_at: watermark, clicked_at: minute.from },
    ...{ minute: minute.from, partition: 2, outcome: 'counted' as const, reason: null, job: null },
    ...{ state: 'final' as const, facts: [], validity: 'invalid' as const, invalid_reason: 'double_click', rules: 3 },
  };
  const notCounted = { validity: null, invalid_reason: null, rules: null };
  const gone = { ...copy, ...notCounted, click_id: '01B', reason: 'future', received_at: null };
  const set = { ...gone, outcome: 'quarantined' as const };
  const unknown = {
    ...set,
    validity: 'unknown' as const,
    clicked_at: null,
    minute: null,
    partition: null,
    outcome: 'restated' as const,
    job: '01J',
  };
  const answer = { event_id: 'e\u001b[2J', ads: [{ ad_id: 'ad-1', copies: 3 }], copies: [copy, set, unknown] };
  const text = clickText({ ...answer, is_complete: false }, bare);
  const at = shortTime(minute.from);
  expect(text.split('\n').map(row => row.trim().split(/ {2,}/))).toEqual([
    ['e\\u001b[2J: 3 copies, and more that are not listed'],
    [
      ...['outcome', 'state', 'ad', 'country', 'clicked', 'received', 'minute', 'partition'],
      'quarantined because',
      'restated by job',
      'valid',
      'click id',
    ],
    ['counted', 'final', 'ad-1', 'KR', at, watermark, at, '2', '-', '-', 'no: double_click (rules 3)', '01A'],
    ['quarantined', 'final', 'ad-1', 'KR', at, '-', at, '2', 'future', '-', '-', '01B'],
    ['restated', 'final', 'ad-1', 'KR', '-', '-', '-', '-', 'future', '01J', 'not known', '01B'],
    [''],
  ]);
  expect(clickText({ ...answer, copies: [copy], is_complete: true }, bare)).toMatch(/: 1 copy\n/);
});

it('says over how many partitions clicks are spread, since when, and how many each topic has', () => {
  const recorded = [
    { from: null, partitions: 4 },
    { from: minute.from, partitions: 12 },
  ];
  const topics = ['clicks', 'aggregates'].map(topic => ({ topic, partitions: 12 }));
  const answer = { now: 4, recorded, topics, difference: null };
  expect(
    partitionsText(answer, bare)
      .split('\n')
      .map(line => line.trimEnd()),
  ).toEqual([
    'now       4 partitions',
    'recorded  4 from the beginning',
    'grown     12 from 2025-11-22T08:26:00Z (event time)',
    'topics    agree',
    '',
    'topic       partitions',
    'clicks              12',
    'aggregates          12',
    '',
  ]);
  const none = { ...answer, now: null, recorded: [], difference: 'partitions: clicks has 4' };
  expect(partitionsText(none, bare)).toMatch(/nothing is recorded yet\n.*partitions: clicks has 4/);
});

it('shortens times and durations without losing information', () => {
  expect([minute.from, '2025-11-22T08:26:30.000Z', watermark, null].map(shortTime)).toEqual([
    '2025-11-22T08:26:00Z',
    '2025-11-22T08:26:30Z',
    watermark,
    '-',
  ]);
  expect([999, 1_000, 90_000, 7_200_000, 200_000_000, null].map(shortDuration)).toEqual([
    ...['999 ms', '1.0 s', '1.5 min', '2.0 h', '2.3 d', '-'],
  ]);
});

it('lets no text from outside control the terminal', () => {
  expect(printed('\u001b[2Ja\nb\u009b')).toBe('\\u001b[2Ja\\u000ab\\u009b');
  expect(printed('x'.repeat(300), 10)).toBe('xxxxxxxxx…');
});
