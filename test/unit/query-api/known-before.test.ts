import { expect, it } from 'vitest';
import { knownBefore } from '../../../query-api/answers/known-before.ts';
import type { Progress } from '../../../query-api/store/ad-counts.ts';
import { lateClicksOf } from '../../../query-api/store/late-clicks.ts';
import type { Recounts, StatedReading } from '../../../query-api/store/sql/stated-rows.ts';

const range = { from: 0, to: 60_000 };
const row: Progress = {
  ...{ partition: 0, partitions: 1, position: 9, watermark: 70_000, final_until: 60_000, appended_at: 80_000 },
  ...{ received: 9, counted: 9, duplicates: 0, quarantined: 0, acknowledged: 9, missing: 0 },
};

/** Answers are given by the test. */
function store() {
  const progress = Promise.withResolvers<Progress[]>();
  const late = Promise.withResolvers<ReturnType<typeof lateClicksOf>>();
  const recounts = Promise.withResolvers<Recounts>();
  const asked: string[] = [];
  const unused = async () => Promise.reject(new Error('nothing is read yet'));
  const stated: StatedReading = {
    recounts: of => {
      asked.push(`recounts ${of.from} ${of.to}`);
      return recounts.promise;
    },
    ...{ at: unused, begin: unused },
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
  return { deps: { queries, lateClicks, stated }, asked, progress, late, recounts };
}

it('is asked for all at once, and nothing is read before all of it is known', async () => {
  const { deps, asked, progress, late, recounts } = store();
  let isKnown = false;
  const known = knownBefore(deps, range).finally(() => {
    isKnown = true;
  });
  expect(asked).toEqual(['progress', 'late clicks', 'recounts 0 60000']);
  const last = [() => progress.resolve([row]), () => late.resolve(lateClicksOf([]))];
  for (const answer of last) {
    answer();
    await new Promise(resolve => setImmediate(resolve));
    expect(isKnown).toBe(false);
  }
  recounts.resolve({ visible: 2, unsettled: 1 });
  expect(await known).toMatchObject({
    finality: { watermark: 70_000, finalUntil: 60_000 },
    recounts: { visible: 2, unsettled: 1 },
  });
});

it('fails with whichever fails, and leaves no failure of another behind', async () => {
  const { deps, progress, late, recounts } = store();
  const known = knownBefore(deps, range);
  progress.reject(new Error('first'));
  await expect(known).rejects.toThrow('first');
  late.reject(new Error('second'));
  recounts.reject(new Error('third'));
  await new Promise(resolve => setImmediate(resolve));
});
