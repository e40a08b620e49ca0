import { expect, it } from 'vitest';
import { createPendingMinutes } from '../../../query-api/jobs/restate/pending-minutes.ts';

const minute = (n: number) => 1_763_800_020_000 + n * 60_000;

it('minutes with late clicks and minutes of split ads are pending, of the range that is asked for', async () => {
  const asked: unknown[] = [];
  const pending = createPendingMinutes(
    {
      async pending(from, to) {
        asked.push(['late', from, to]);
        return [{ day: 0, minute: minute(2), lines: 1 }];
      },
    },
    async finalUntil => {
      asked.push(['split', finalUntil]);
      return { clicks: 9, minutes: [minute(0), minute(1), minute(4), minute(5)], of: () => () => 0 };
    },
  );
  expect(await pending(minute(1), minute(5))).toEqual([minute(2), minute(1), minute(4)]);
  expect(asked).toEqual([
    ['late', minute(1), minute(5)],
    ['split', minute(5)],
  ]);
});
