/** Who waits in turn is done in turn, or told to come again, and never left without an answer. */
import { expect, it } from 'vitest';
import { inTurn } from '../../../query-api/http/in-turn.ts';

it('does one after the other, in the order in which they were asked, whatever one of them throws', async () => {
  const turns = inTurn('things');
  const done: string[] = [];
  const work = (name: string) => async () => {
    done.push(`${name} begins`);
    await Promise.resolve();
    done.push(`${name} ends`);
    if (name === 'b') throw new Error('of its own');
    return name;
  };
  const all = await Promise.allSettled(['a', 'b', 'c'].map(name => turns(work(name))));
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(done).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

it('refuses what would be one too many, with 503', async () => {
  const turns = inTurn('things');
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiting = Array.from({ length: 32 }, () => turns(() => promise));
  await expect(turns(async () => 'one too many')).rejects.toMatchObject({
    ...{ status: 503, code: 'busy', message: '32 things are waiting already: try again' },
  });
  resolve();
  await Promise.all(waiting);
  await expect(turns(async () => 'later')).resolves.toBe('later');
});

it('does nothing for whoever has waited for longer than 20 s, and says so with 503', async () => {
  let clockMs = 0;
  const turns = inTurn('things', () => clockMs);
  const { promise, resolve } = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const first = turns(async () => {
    begun.resolve();
    await promise;
  });
  await begun.promise;
  let isDone = false;
  const second = turns(async () => {
    isDone = true;
  });
  const refused = expect(second).rejects.toMatchObject({
    ...{ status: 503, code: 'busy', message: 'other things took 20 s: try again' },
  });
  clockMs = 20_001;
  const third = turns(async () => 'asked just now');
  resolve();
  await first;
  await refused;
  expect(isDone).toBe(false);
  await expect(third).resolves.toBe('asked just now');
});
