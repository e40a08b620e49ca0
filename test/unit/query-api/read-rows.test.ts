import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { Corrupt } from '../../../infra/errors.ts';
import { createQueries } from '../../../query-api/store/ad-counts.ts';
import { createConservationStore } from '../../../query-api/store/jobs/conservation-store.ts';
import { createJobStore } from '../../../query-api/store/jobs/job-store.ts';
import { createReplicaCheckStore } from '../../../query-api/store/replicas/replica-check-store.ts';
import { readNumber, readRow, readRows, rowShape } from '../../../query-api/store/sql/read-rows.ts';
import { createStatedReading } from '../../../query-api/store/sql/stated-rows.ts';
import { clickHouseThatAnswers } from '../../support/clickhouse-that-answers.ts';

const AdCount = rowShape('counts of ads', { ad_id: Type.String(), count: Type.Integer() });
const read = (rows: readonly unknown[]) =>
  readRows(
    clickHouseThatAnswers(() => rows),
    AdCount,
    ['SELECT', {}],
  );

describe('rows of ClickHouse', () => {
  it('are returned as they came, with columns that nobody asked for', async () => {
    const rows = [{ ad_id: 'a', count: 1, newer: true }];
    expect(await read(rows)).toEqual(rows);
    expect(await read([])).toEqual([]);
  });

  it.each([
    [{ ad_id: 'a', count: '1' }, 'counts of ads, row 2: count is "1", but must be a whole number'],
    [{ ad_id: 'a', count: null }, 'counts of ads, row 2: count is null, but must be a whole number'],
    [{ ad_id: 'a', count: 1.5 }, 'counts of ads, row 2: count is 1.5, but must be a whole number'],
    [{ ad_id: 'a', clicks: 1 }, 'counts of ads, row 2: count is not given, but must be'],
  ])('are refused when one of them is %j, naming the column', async (row, message) => {
    const answer = read([{ ad_id: 'b', count: 1 }, row]);
    await expect(answer).rejects.toThrow(Corrupt);
    await expect(answer).rejects.toThrow(message);
  });

  it('are refused by the place of a value within a list', async () => {
    const Top = rowShape('top list', { top: Type.Array(Type.Tuple([Type.String(), Type.Integer()])) });
    const answer = (top: unknown) =>
      readRow(
        clickHouseThatAnswers(() => [{ top }]),
        Top,
        ['SELECT', {}],
      );
    expect(await answer([['a', 1]])).toEqual({ top: [['a', 1]] });
    const refused = answer([
      ['a', 1],
      ['b', '2'],
    ]);
    await expect(refused).rejects.toThrow('top list, row 1: top.1.1 is "2", but must be a whole number');
  });

  it('may be a single number, which is 0 without a row', async () => {
    const number = (rows: readonly unknown[]) =>
      readNumber(
        clickHouseThatAnswers(() => rows),
        'rows',
        ['SELECT', {}],
      );
    expect([await number([{ n: 7 }]), await number([])]).toEqual([7, 0]);
    await expect(number([{ n: '7' }])).rejects.toThrow('rows, row 1: n is "7", but must be a whole number');
  });
});

const job = {
  ...{ id: 'id', kind: 'replay', reason: 'replay', apply: 0, from_s: 0, to_s: 60, minutes_s: [], state: 'queued' },
  ...{ position_s: 0, minutes_done: 0, minutes_total: 1, clicks_read: 0, cells_changed: 0, result: '', error: '' },
  ...{ created_ms: 1, updated_ms: 1, seq: 1 },
};

describe('questions to the store refuse', () => {
  const options = { timeoutMs: 1_000 };
  const cases: readonly (readonly [
    string,
    object,
    (of: ReturnType<typeof clickHouseThatAnswers>) => Promise<unknown>,
    string,
  ])[] = [
    [
      'progress',
      { partition: 0 },
      of => createQueries(of, options).progress(),
      'partition_progress, row 1: partitions',
    ],
    [
      'recounts',
      { visible: 1, unsettled: null },
      of => createStatedReading(of, options).recounts({ from: 0, to: 60_000 }),
      'recounts of the range, row 1: unsettled is null, but must be a whole number',
    ],
    [
      'a job in a state that nobody knows',
      { ...job, state: 'paused' },
      of => createJobStore(of, options).get('id', ['replay']),
      'replay_job, row 1: state is "paused", but must be queued, running, done, failed or cancelled',
    ],
    [
      'a comparison with stored JSON of another shape',
      { checked_at: 1, differences: '[{"partition":"0"}]', uncounted: 0 },
      of => createConservationStore(of, options).latest(),
      'differences of conservation_check, row 1: outcome, expected, found, difference is not given',
    ],
    [
      'a comparison of nodes whose stored text is no JSON',
      { at: 1, differences: 1, places: '{' },
      of => createReplicaCheckStore(of, options).latest(),
      'places of replica_check: "{", but must be a list in JSON',
    ],
  ];

  it.each(cases)('%s', async (_, row, ask, message) => {
    await expect(ask(clickHouseThatAnswers(() => [row]))).rejects.toThrow(message);
  });
});
