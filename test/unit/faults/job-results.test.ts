/** That the laws of one job runner can be broken: each breach that is planted in the log is found, and nothing where there is none. */
import { describe, expect, it } from 'vitest';
import { oneRunner } from '../../faults/job-results.ts';

const term = (instance: string, since: number) => ({
  kind: 'job-runner',
  row: { instance, since, host: 'h', seen_at: since },
});
const restated = (revision: number, before: number, after: number, ad_id = 'a') => ({
  kind: 'restatement',
  row: { minute: 60, ad_id, country: 'KR', job: `job-${revision}`, revision, before, after },
});
const logOf = (...said: readonly { readonly kind: string; readonly row: object }[]) =>
  said.map(({ kind, row }, offset) => ({ partition: 0, offset, kind, line: JSON.stringify(row) }));

describe('the laws of one job runner', () => {
  it('hold where terms follow each other, and each restatement the one before', () => {
    const log = logOf(
      ...[term('one', 10), restated(1, 3, 4), restated(1, 0, 2, 'b'), term('one', 10), term('two', 20)],
      ...[restated(2, 4, 6), { kind: 'job', row: {} }, term('two', 20)],
    );
    expect(oneRunner(log)).toEqual([]);
  });

  it.each([
    ['a runner that was succeeded says that it is there', [term('one', 10), term('two', 20), term('one', 10)]],
    ['a later term is no later', [term('one', 20), term('two', 20)]],
    ['two runners restate the same count', [restated(1, 3, 4), restated(1, 3, 4)]],
    ['a restatement is missing', [restated(1, 3, 4), restated(3, 4, 5)]],
    ['a restatement begins with what was stated earlier', [restated(1, 3, 4), restated(2, 3, 5)]],
  ])('are broken where %s', (_, said) => {
    expect(oneRunner(logOf(...said))).toHaveLength(1);
  });
});
