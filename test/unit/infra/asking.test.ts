import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  type Asker,
  askedBy,
  currentAsker,
  forNobody,
  keepingAsker,
  shared,
  whileAsked,
} from '../../../infra/asking.ts';
import { cached } from '../../../infra/cached.ts';

function asker(client: string) {
  const end = new AbortController();
  const asker: Asker = { client, isOperation: false, signal: end.signal };
  return { asker, leave: () => end.abort(new Error(`${client} has gone`)) };
}

/** Work that ends when it is told to, or when nobody waits any more. */
function openWork() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const seen: (Asker | undefined)[] = [];
  const work = () => {
    const by = currentAsker();
    seen.push(by);
    by?.signal.addEventListener('abort', () => reject(by.signal.reason), { once: true });
    return promise;
  };
  return { work, finish: () => resolve('done'), isAbandoned: () => seen[0]?.signal.aborted };
}

describe('for whom something is done', () => {
  it('is known through whatever is called and waited for, and not where it is for nobody', async () => {
    const { asker: a } = asker('a');
    const [within, after, apart] = await askedBy(a, async () => {
      const before = currentAsker();
      await sleep(1);
      return [before, currentAsker(), await forNobody(async () => currentAsker())];
    });
    expect([within, after, apart, currentAsker()]).toEqual([a, a, undefined, undefined]);
  });

  it('is the same for each piece, whoever takes it', async () => {
    const { asker: a } = asker('a');
    const seen: (string | undefined)[] = [];
    async function* pieces() {
      for (let i = 0; i < 2; i++) {
        seen.push(currentAsker()?.client);
        yield i;
      }
    }
    const kept = askedBy(a, () => keepingAsker(pieces()));
    await kept.next();
    await forNobody(() => kept.next());
    expect(seen).toEqual(['a', 'a']);
  });
});

describe('work for several', () => {
  it('goes on when the first of them has gone, and is given up when the last has', async () => {
    const [a, b] = [asker('a'), asker('b')];
    const { work, isAbandoned } = openWork();
    const one = askedBy(a.asker, () => shared(work));
    const [first, second] = [askedBy(a.asker, () => one.join()), askedBy(b.asker, () => one.join())];
    a.leave();
    await expect(first).rejects.toThrow('a has gone');
    expect(isAbandoned()).toBe(false);
    b.leave();
    await expect(second).rejects.toThrow('b has gone');
    expect([isAbandoned(), one.isGivenUp]).toEqual([true, true]);
  });

  it('is never given up where the process itself waits', async () => {
    const a = asker('a');
    const { work, finish, isAbandoned } = openWork();
    const one = askedBy(a.asker, () => shared(work));
    const first = askedBy(a.asker, () => one.join()).catch(() => 'left');
    const own = forNobody(() => one.join());
    a.leave();
    await first;
    finish();
    expect([await own, isAbandoned()]).toEqual(['done', false]);
  });

  it('whose end comes before they leave is theirs, and leaves nothing behind', async () => {
    const a = asker('a');
    const { work, finish, isAbandoned } = openWork();
    const one = askedBy(a.asker, () => shared(work));
    const answer = askedBy(a.asker, () => one.join());
    finish();
    expect(await answer).toBe('done');
    a.leave();
    expect(isAbandoned()).toBe(false);
  });
});

describe('what goes on for others', () => {
  it('may fail after who asked has gone, and ends no process', async () => {
    const { asker: a, leave } = asker('a');
    const unheard: unknown[] = [];
    const hear = (reason: unknown) => unheard.push(reason);
    process.on('unhandledRejection', hear);
    leave();
    await expect(askedBy(a, () => whileAsked(Promise.reject(new Error('away'))))).rejects.toThrow('a has gone');
    await sleep(1);
    process.off('unhandledRejection', hear);
    expect(unheard).toEqual([]);
  });
});

describe('a cached answer', () => {
  it('is asked for again by who comes after all who waited have gone', async () => {
    const [a, b] = [asker('a'), asker('b')];
    const works = [openWork(), openWork()];
    let asked = 0;
    const ask = cached(
      () => works[asked++]?.work() ?? expect.fail('asked too often'),
      1_000,
      () => 0,
    );
    const left = askedBy(a.asker, ask);
    a.leave();
    await expect(left).rejects.toThrow('a has gone');
    const answer = askedBy(b.asker, ask);
    works[1]?.finish();
    expect([await answer, asked]).toEqual(['done', 2]);
    expect([await askedBy(b.asker, ask), asked]).toEqual(['done', 2]);
  });
});
