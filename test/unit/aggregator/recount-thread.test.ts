/** A thread is used by one recount after another, and none finds anything of the one before. */
import { expect, it } from 'vitest';
import { openRecountThread } from '../../../aggregator/replay/recount-thread.ts';
import { formatLine } from '../../../ingest/click.ts';
import { click } from '../../support/clicks.ts';

const minute = 29_000_000 * 60_000;
const settings = { partitions: 1, hashSeed: 1 };
/** What it says of these event ids, which nothing is stated of yet. */
async function countOf(...eventIds: readonly string[]) {
  await using thread = openRecountThread(settings);
  await thread.judgeBy([]);
  const lines = eventIds.map(eventId => formatLine(click({ adId: 'a', eventId, clickedAt: minute })));
  await thread.feed(Buffer.from(`${lines.join('\n')}\n`));
  const { changes, lines: fed } = await thread.compare(minute + 60_000, []);
  return { fed, after: changes.map(({ after }) => after) };
}

it('counts the same clicks again, and not as copies of those of the recount before', async () => {
  expect(await countOf('e-1', 'e-2', 'e-2')).toEqual({ fed: 3, after: [2] });
  expect(await countOf('e-1', 'e-2', 'e-2')).toEqual({ fed: 3, after: [2] });
});

it('leaves nothing of a recount that did not compare what it was fed', async () => {
  {
    await using thread = openRecountThread(settings);
    await thread.judgeBy([]);
    await thread.feed(Buffer.from(`${formatLine(click({ adId: 'a', eventId: 'e-1', clickedAt: minute }))}\n`));
  }
  expect(await countOf('e-1')).toEqual({ fed: 1, after: [1] });
});

it('does not wait for one that is given up while it works, and begins with another', async () => {
  const thread = openRecountThread(settings);
  const fed = thread.feed(Buffer.from(`${formatLine(click({ adId: 'a', clickedAt: minute }))}\n`));
  const outcome = fed.catch(error => String(error));
  await thread[Symbol.asyncDispose]();
  expect(await countOf('e-1')).toEqual({ fed: 1, after: [1] });
  expect(await Promise.race([outcome, 'nothing'])).toContain('the recount was ended');
});

it('says what is wrong with a line, and the next recount is none the wiser', async () => {
  {
    await using thread = openRecountThread(settings);
    await thread.judgeBy([]);
    await expect(thread.feed(Buffer.from('no click\n'))).rejects.toThrow();
  }
  expect(await countOf('e-1')).toEqual({ fed: 1, after: [1] });
});

it('takes recounts at the same time', async () => {
  const counts = await Promise.all([countOf('e-1'), countOf('e-1', 'e-2'), countOf('e-3', 'e-3')]);
  expect(counts.map(({ after }) => after)).toEqual([[1], [2], [1]]);
});
