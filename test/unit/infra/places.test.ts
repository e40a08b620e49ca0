import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Asker } from '../../../infra/asking.ts';
import { Unserved } from '../../../infra/errors.ts';
import { createPlaces, type PlaceLimits } from '../../../infra/places.ts';

const wide: PlaceLimits = {
  ...{ places: 1, perClient: 100, mostWaiting: 100, mostWaitingPerClient: 100, waitMs: 60_000 },
};

function open(limits: Partial<PlaceLimits> = {}) {
  const told = { running: 0, waiting: 0, refused: [] as string[] };
  const places = createPlaces(
    'reads',
    { ...wide, ...limits },
    {
      onRunning: change => {
        told.running += change;
      },
      onWaiting: change => {
        told.waiting += change;
      },
      onRefused: why => told.refused.push(why),
    },
  );
  return { places, told };
}

function asker(client: string): Asker & { leave(): void } {
  const end = new AbortController();
  return {
    ...{ client, isOperation: false, signal: end.signal },
    leave: () => end.abort(new Unserved('gone', 'gone')),
  };
}

const turn = () => new Promise(resolve => setImmediate(resolve));
const whyNot = (taking: Promise<unknown>) =>
  taking.then(
    () => 'served',
    (error: unknown) => (error instanceof Unserved ? error.why : String(error)),
  );

describe('places', () => {
  it('are never more than there are, nor of one client than it may have, and each who waits gets one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 20 }),
        async (count, perClient, asked) => {
          const { places, told } = open({ places: count, perClient });
          const begun: Record<string, number[]> = { a: [], b: [], c: [] };
          const now: Record<string, number> = { a: 0, b: 0, c: 0 };
          await Promise.all(
            asked.map(async (client, i) => {
              const giveBack = await places.take(asker(client));
              begun[client]?.push(i);
              now[client] = (now[client] ?? 0) + 1;
              expect(now[client]).toBeLessThanOrEqual(perClient);
              expect(Object.values(now).reduce((sum, n) => sum + n, 0)).toBeLessThanOrEqual(count);
              await turn();
              now[client] -= 1;
              giveBack();
              // Twice is once.
              giveBack();
            }),
          );
          for (const client of ['a', 'b', 'c'])
            expect(begun[client]).toEqual(asked.flatMap((each, i) => (each === client ? [i] : [])));
          expect(told).toEqual({ running: 0, waiting: 0, refused: [] });
        },
      ),
    );
  });

  it('go round among clients, however many of one are in line', async () => {
    const { places } = open();
    const order: string[] = [];
    const giveBack = await places.take(asker('a'));
    const all = ['a', 'a', 'a', 'b', 'c', 'b'].map(async client => {
      const back = await places.take(asker(client));
      order.push(client);
      back();
    });
    giveBack();
    await Promise.all(all);
    expect(order).toEqual(['a', 'b', 'c', 'a', 'b', 'a']);
  });

  it('are left to others by a client that has its part', async () => {
    const { places } = open({ places: 2, perClient: 1 });
    const [mine] = await Promise.all([places.take(asker('a'))]);
    let isSecond = false;
    const second = places.take(asker('a')).then(back => {
      isSecond = true;
      back();
    });
    (await places.take(asker('b')))();
    await turn();
    expect(isSecond).toBe(false);
    mine?.();
    await second;
  });

  it('have a line that ends, for each client and for all', async () => {
    const { places, told } = open({ mostWaiting: 3, mostWaitingPerClient: 2 });
    const giveBack = await places.take(asker('a'));
    const waiting = [places.take(asker('a')), places.take(asker('a'))];
    expect(await whyNot(places.take(asker('a')))).toBe('share');
    waiting.push(places.take(asker('b')));
    expect(await whyNot(places.take(asker('c')))).toBe('full');
    expect(told).toEqual({ running: 1, waiting: 3, refused: ['share', 'full'] });
    giveBack();
    await Promise.all(waiting.map(async one => (await one)()));
    expect(told).toMatchObject({ running: 0, waiting: 0 });
  });

  it('are waited for so long and no longer, but by the process itself', async () => {
    const { places, told } = open({ waitMs: 20 });
    const giveBack = await places.take(asker('a'));
    const own = places.take(undefined);
    const ownThatCanBeGivenUp = places.take({ ...asker(''), isProcess: true });
    expect(await whyNot(places.take(asker('b')))).toBe('waited');
    await sleep(40);
    expect(told).toEqual({ running: 1, waiting: 2, refused: ['waited'] });
    giveBack();
    (await own)();
    (await ownThatCanBeGivenUp)();
  });

  it('are not waited for by who has gone', async () => {
    const { places, told } = open();
    const giveBack = await places.take(asker('a'));
    const [leaving, staying] = [asker('b'), asker('b')];
    const left = whyNot(places.take(leaving));
    const stayed = places.take(staying);
    leaving.leave();
    expect(await left).toBe('gone');
    expect(told.waiting).toBe(1);
    giveBack();
    (await stayed)();
    expect(await whyNot(places.take(leaving))).toBe('gone');
    expect(told).toEqual({ running: 0, waiting: 0, refused: [] });
  });
});
