/** What a recount reads is checked where it continues: a page that ends in something else must not move its cursor. */
import { expect, it } from 'vitest';
import { Corrupt } from '../../../infra/errors.ts';
import { recountSteps } from '../../../query-api/jobs/recount/recount-steps.ts';
import type { Cursor } from '../../../query-api/store/jobs/recount-rows.ts';

const minute = 500_000 * 3_600_000;
const click = { click_id: '01', event_id: 'e', ad_id: 'a', clicked_at: minute + 7, received_at: 0, country: 'KR' };

/** Recounts a minute of one-row pages. Returns the cursors that it asked for. */
async function recount(...rows: readonly object[]) {
  const cursors: (Cursor | undefined)[] = [];
  const queries = {
    async rawPage(_range: object, cursor: Cursor | undefined) {
      const row = rows[cursors.length];
      cursors.push(cursor);
      return Buffer.from(row === undefined ? '' : `${JSON.stringify(row)}\n`);
    },
    rulesOf: async () => [],
    stated: async () => new Uint8Array(),
    statedRows: async () => 0,
  };
  const options = { queries, partitions: 1, hashSeed: 1, pageRows: 1 };
  let clicks = 0;
  for await (const { lines } of recountSteps([{ from: minute, to: minute + 60_000 }], options)) clicks += lines;
  return { cursors, clicks };
}

it('continues after the last click of a page', async () => {
  expect(await recount(click, { ...click, click_id: '02' })).toEqual({
    cursors: [undefined, { minute, adId: 'a', clickId: '01' }, { minute, adId: 'a', clickId: '02' }],
    clicks: 2,
  });
});

it.each([
  [{ ...click, click_id: undefined }, 'click_raw, last row of a page, row 1: click_id is not given, but must be'],
  [{ ...click, clicked_at: '2025' }, 'clicked_at is "2025", but must be a whole number'],
])('ends where the last row of a page is no click: %o', async (row, why) => {
  await expect(recount(row)).rejects.toThrow(why);
  await expect(recount(row)).rejects.toThrow(Corrupt);
});
