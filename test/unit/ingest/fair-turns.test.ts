import { describe, expect, it } from 'vitest';
import { fairTurns } from '../../../ingest/fair-turns.ts';

const settled = () => new Promise(resolve => setImmediate(resolve));

describe('turns', () => {
  it('are taken by owners one after another, by each in the order of its tasks, one task at a time', async () => {
    const inTurn = fairTurns();
    const begun: string[] = [];
    const ends: (() => void)[] = [];
    const owners = { a: {}, b: {}, c: {} };
    const add = (name: string) =>
      inTurn(owners[name[0] as 'a'], async () => {
        begun.push(name);
        await new Promise<void>(resolve => ends.push(resolve));
        return name;
      });
    const all = ['a1', 'a2', 'a3', 'b1', 'c1', 'c2'].map(add);
    for (let i = 0; i < 2; i++) {
      await settled();
      ends.shift()?.();
    }
    all.push(add('b2'));
    for (await settled(); ends.length > 0; await settled()) {
      expect(ends).toHaveLength(1);
      ends.shift()?.();
    }
    expect(await Promise.all(all)).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'c2', 'b2']);
    expect(begun).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'c2']);
  });

  it('go on behind a task that fails', async () => {
    const inTurn = fairTurns();
    const tasks = [() => Promise.reject(new Error('broken')), () => Promise.resolve('well')];
    const outcomes = await Promise.allSettled(tasks.map(task => inTurn({}, task)));
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(await inTurn({}, () => Promise.resolve('again'))).toBe('again');
  });
});
