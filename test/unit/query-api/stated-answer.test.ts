import type { FastifyReply } from 'fastify';
import { expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import { answerStated, type Found } from '../../../query-api/routes/ads/stated-answer.ts';
import { lateClicksOf } from '../../../query-api/store/late-clicks.ts';
import { splitClicksOf } from '../../../query-api/store/split-clicks.ts';
import type { Recounts, StatedReading } from '../../../query-api/store/sql/stated-rows.ts';
import type { WaitingClicks } from '../../../query-api/store/waiting-clicks.ts';

const range = { from: 0, to: 60_000 };
const row: Progress = {
  ...{ partition: 0, partitions: 1, position: 9, watermark: 70_000, final_until: 60_000, appended_at: 80_000 },
  ...{
    received: 9,
    counted: 9,
    duplicates: 0,
    quarantined: 0,
    acknowledged: 9,
    missing: 0,
    invalid: 0,
    ids_per_ad_from: null,
  },
};

/** The test gives the answers. */
function store(split: readonly WaitingClicks[] = []) {
  const progress = Promise.withResolvers<Progress[]>();
  const late = Promise.withResolvers<ReturnType<typeof lateClicksOf>>();
  const recounts = Promise.withResolvers<Recounts>();
  const asked: string[] = [];
  const unused = async () => Promise.reject(new Error('nothing is read yet'));
  const given: Recounts[] = [];
  const stated: StatedReading = {
    recounts: of => {
      asked.push(`recounts ${of.from} ${of.to}`);
      return recounts.promise;
    },
    at: async (_range, read, before) => {
      if (before) given.push(before);
      return await read({ isSettled: true });
    },
    begin: unused,
  };
  const queries = {
    progress: () => {
      asked.push('progress');
      return progress.promise;
    },
    ...{ popularAds: unused, writtenOff: unused, quarantineByReason: unused },
  };
  const lateClicks = () => {
    asked.push('late clicks');
    return late.promise;
  };
  const splitClicks = async (finalUntil: number | null) => {
    asked.push(`split ads ${finalUntil}`);
    return splitClicksOf(split);
  };
  const headers: string[][] = [];
  const reply = { header: (...header: string[]) => headers.push(header) } as unknown as FastifyReply;
  return { deps: { queries, lateClicks, splitClicks, stated }, asked, progress, late, recounts, given, reply, headers };
}

/** The counts of one ad, with the late clicks and the state of the answer. */
const question = { range, adIds: ['a'], asked: { from: '0' } };

it('asks at the same time for everything that must be known first, and reads no count before it is known', async () => {
  const { deps, reply, asked, given, headers, progress, late, recounts } = store();
  const answer = answerStated(deps, reply, question, async ({ finality, known }) => {
    asked.push(`counts ${finality.watermark} ${known.isSettled}`);
    return { count: 7, isRestated: false };
  });
  const before = ['progress', 'late clicks', 'recounts 0 60000'];
  expect(asked).toEqual(before);
  // Which final minutes wait can only be asked when it is known which are final.
  const known = [...before, 'split ads 60000'];
  for (const know of [() => progress.resolve([row]), () => late.resolve(lateClicksOf([]))]) {
    know();
    await new Promise(resolve => setImmediate(resolve));
    expect(asked).toEqual(known);
  }
  recounts.resolve({ visible: 2, unsettled: 1 });
  expect(await answer).toMatchObject({
    count: 7,
    head: {
      from: '1970-01-01T00:00:00.000Z',
      to: '1970-01-01T00:01:00.000Z',
      state: 'final',
      pending_late: 0,
      pending_split: 0,
    },
  });
  expect(asked).toEqual([...known, 'counts 70000 true']);
  expect(given).toEqual([{ visible: 2, unsettled: 1 }]);
  expect(headers).toEqual([['cache-control', 'public, max-age=30']]);
});

it('is restated when what was read is restated, and is no more final than what was read', async () => {
  const answered = async (found: Found) => {
    const { deps, reply, progress, late, recounts } = store();
    progress.resolve([row]);
    late.resolve(lateClicksOf([]));
    recounts.resolve({ visible: 0, unsettled: 0 });
    return (await answerStated(deps, reply, question, async () => found)).head;
  };
  expect(await answered({ isRestated: true })).toMatchObject({ state: 'restated' });
  const finality = { watermark: 30_000, finalUntil: 0, partitions: 1 };
  expect(await answered({ isRestated: false, finality })).toMatchObject({
    state: 'provisional',
    watermark: '1970-01-01T00:00:30.000Z',
  });
});

it('may be cached by nobody while clicks of a split ad wait, which do not change its state', async () => {
  const split = [{ minute: 0, ad_id: 'a', clicks: 8 }];
  const { deps, reply, progress, late, recounts, headers } = store(split);
  progress.resolve([row]);
  late.resolve(lateClicksOf([]));
  recounts.resolve({ visible: 0, unsettled: 0 });
  const { head } = await answerStated(deps, reply, question, async () => ({ isRestated: false }));
  expect(head).toMatchObject({ state: 'final', pending_late: 0, pending_split: 8 });
  expect(headers).toEqual([['cache-control', 'no-cache']]);
});

it('fails with the first failure, and leaves no other failure unhandled', async () => {
  const { deps, reply, progress, late, recounts } = store();
  const answer = answerStated(deps, reply, question, async () => ({ isRestated: false }));
  progress.reject(new Error('first'));
  await expect(answer).rejects.toThrow('first');
  late.reject(new Error('second'));
  recounts.reject(new Error('third'));
  await new Promise(resolve => setImmediate(resolve));
});
