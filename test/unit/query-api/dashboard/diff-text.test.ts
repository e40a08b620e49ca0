/** What stands above the counts that a recount changes, which a person confirms, and what is then asked for. */
import { join } from 'node:path';
import { expect, it } from 'vitest';

type Job = Readonly<Record<string, unknown>>;
const parts = join(import.meta.dirname, '../../../../query-api/dashboard/parts');
const { diffText } = (await import(join(parts, 'diff-text.js'))) as { diffText(job: Job): string };
const { requestToApply } = (await import(join(parts, 'applied-replay.js'))) as {
  requestToApply(job: Job): Job | undefined;
};

it('names the clicks, and those that are billed where invalid ones are among them', () => {
  const textOf = (diff: Job) => diffText({ diff, rules_effect: null });
  const clicks = { cells: 2, before: 16, after: 16 };
  expect(textOf({ ...clicks, invalid_before: 6, invalid_after: 0 })).toBe(
    '2 counts differ: 16 → 16 clicks (±0), 10 → 16 net (+6)',
  );
  expect(textOf({ ...clicks, after: 15, invalid_before: 0, invalid_after: 3 })).toBe(
    '2 counts differ: 16 → 15 clicks (−1), 16 → 12 net (−4)',
  );
  expect(textOf({ cells: 1, before: 3, after: 2, invalid_before: 0, invalid_after: 0 })).toBe(
    '1 count differs: 3 → 2 clicks (−1)',
  );
});

it('names all that named rules change, of which not every count is listed', () => {
  const diff = { cells: 1, before: 2, after: 2, invalid_before: 0, invalid_after: 1 };
  const rules_effect = { cells: 9, clicks_before: 50, clicks_after: 50, invalid_before: 0, invalid_after: 20 };
  expect(diffText({ diff, rules_effect })).toBe('9 counts differ: 50 → 50 clicks (±0), 50 → 30 net (−20)');
});

it('asks for the same minutes by the same rules, and for nothing that cannot be applied', () => {
  const job = { state: 'done', apply: false, from: 'a', to: 'b', rules_effect: null };
  expect(requestToApply(job)).toEqual({ from: 'a', to: 'b', apply: true });
  for (const rules of [0, 3])
    expect(requestToApply({ ...job, rules_effect: { rules } })).toEqual({ from: 'a', to: 'b', apply: true, rules });
  expect(requestToApply({ ...job, rules_effect: { rules: null, draft_rules: {} } })).toBeUndefined();
  expect(requestToApply({ ...job, apply: true })).toBeUndefined();
  expect(requestToApply({ ...job, state: 'running' })).toBeUndefined();
});
