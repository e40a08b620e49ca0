import { expect, it } from 'vitest';
import { runRecount } from '../../../query-api/jobs/recount/recount-job.ts';
import { newJob } from '../../../query-api/store/jobs/job.ts';

const minuteMs = 60_000;
const begin = Date.parse('2025-11-22T08:00:00Z');

it('says of a recount how many counts differ, also when its turn is over in its last step', async () => {
  const asked = { kind: 'replay', reason: 'replay', apply: false, from: begin, to: begin + minuteMs } as const;
  let at = begin;
  const job = await runRecount(newJob(asked, begin), 1, {
    // Each step takes so long that it is saved.
    now: () => (at += 1_000),
    mayGoOn: async () => false,
    store: {
      save: async () => undefined,
      caughtUp: async () => undefined,
      diffTotals: async () => ({ cells: 2, before: 1, after: 3, invalid_before: 0, invalid_after: 0 }),
    },
    queries: {
      rawPage: async () => new Uint8Array(),
      stated: async () => new Uint8Array(),
      statedRows: async () => 0,
      rulesOf: async () => [],
    },
    partitionRules: async () => [],
    idsPerAdFrom: async () => [],
    rawPositions: async () => new Map(),
  });
  expect(job).toMatchObject({ position: begin + minuteMs, minutesDone: 1, cellsChanged: 2 });
});
