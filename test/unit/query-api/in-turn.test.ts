/** Who waits in turn is done in turn, or told to come again, and never left without an answer. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { askedBy } from '../../../infra/asking.ts';
import { inTurn } from '../../../query-api/http/in-turn.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const asker = (client: string, signal = new AbortController().signal) => ({ client, signal, isOperation: false });
const by = <T>(client: string, work: () => T): T => askedBy(asker(client), work);

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
  const all = await Promise.allSettled(['a', 'b', 'c'].map(name => by('one', () => turns(work(name)))));
  expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(done).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

it('refuses what would be one too many: of all with 503, of one client with 429, and others have their turn between', async () => {
  const turns = inTurn('things');
  const { promise, resolve } = Promise.withResolvers<void>();
  const done: string[] = [];
  const ask = (client: string) =>
    by(client, () =>
      turns(async () => {
        await promise;
        done.push(client);
      }),
    );
  const flood = Array.from({ length: 17 }, () => ask('flood'));
  await expect(ask('flood')).rejects.toMatchObject({
    ...{ status: 429, code: 'client_busy' },
    message: '16 things of flood are waiting, which is the limit of a client: try again',
  });
  const others = Array.from({ length: 16 }, (_, i) => ask(`other-${i}`));
  await expect(ask('one too many')).rejects.toMatchObject({
    ...{ status: 503, code: 'busy', message: '32 things are waiting, which is the limit: try again' },
  });
  resolve();
  await Promise.all([...flood, ...others]);
  expect(done.indexOf('other-0')).toBeLessThan(3);
  await expect(by('later', () => turns(async () => 'later'))).resolves.toBe('later');
});

it('does nothing for whoever has waited for longer than 20 s, and says so with 503', async () => {
  const turns = inTurn('things');
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = by('first', () => turns(() => promise));
  let isDone = false;
  const second = by('second', () =>
    turns(async () => {
      isDone = true;
    }),
  );
  const refused = expect(second).rejects.toMatchObject({
    ...{ status: 503, code: 'busy', message: 'no turn among the things within 20000 ms: try again' },
  });
  await vi.advanceTimersByTimeAsync(20_001);
  await refused;
  const third = by('third', () => turns(async () => 'asked just now'));
  resolve();
  await first;
  expect(isDone).toBe(false);
  await expect(third).resolves.toBe('asked just now');
});

it('does nothing for a client that has gone, and ends what was begun for one', async () => {
  const turns = inTurn('things');
  const { promise, resolve } = Promise.withResolvers<string>();
  const [begun, waiting] = [new AbortController(), new AbortController()];
  const first = askedBy(asker('first', begun.signal), () => turns(() => promise));
  const second = askedBy(asker('second', waiting.signal), () => turns(async () => 'never'));
  begun.abort();
  waiting.abort('has gone');
  await expect(second).rejects.toBe('has gone');
  resolve('written');
  await expect(first).resolves.toBe('written');
});

it('does a few at a time where that is said, and leaves places to other clients', async () => {
  const turns = inTurn('sign-ins', { atOnce: 3, ofOneClient: 2 });
  const { promise, resolve } = Promise.withResolvers<void>();
  let running = 0;
  const work = () =>
    turns(async () => {
      running++;
      await promise;
    });
  const all = [by('one', work), by('one', work), by('one', work)];
  await vi.advanceTimersByTimeAsync(1);
  expect(running).toBe(2);
  all.push(by('another', work));
  await vi.advanceTimersByTimeAsync(1);
  expect(running).toBe(3);
  resolve();
  await Promise.all(all);
});
