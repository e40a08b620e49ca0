import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

interface Handlers {
  start(): void;
  answer(content: unknown): void;
  failure(error: Error): void;
  slow(): void;
  end(): void;
}
interface Asking {
  renew(): void;
  refresh(options?: { isNews?: boolean; isWished?: boolean }): void;
  giveUp(): void;
}
const path = join(import.meta.dirname, '../../../../query-api/dashboard/asking.js');
const { createAsking }: { createAsking(load: (signal: AbortSignal) => Promise<unknown>, on: Handlers): Asking } =
  await import(path);

/** A store whose answers the test controls. */
function slowStore() {
  const asked: {
    readonly signal: AbortSignal;
    readonly answer: (content: unknown) => void;
    fail(more?: object): void;
  }[] = [];
  const shown: string[] = [];
  const asking = createAsking(
    signal => {
      const { promise, resolve, reject } = Promise.withResolvers();
      asked.push({ signal, answer: resolve, fail: more => reject(Object.assign(new Error('away'), more)) });
      return promise;
    },
    {
      start: () => void shown.push('start'),
      answer: content => void shown.push(`answer ${content}`),
      failure: error => void shown.push(`failure ${error.message}`),
      slow: () => void shown.push('slow'),
      end: () => void shown.push('end'),
    },
  );
  return { asking, asked, shown };
}

const settled = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a question that is asked again while it is being answered', () => {
  it('is answered once, however often it is asked again', async () => {
    const { asking, asked, shown } = slowStore();
    asking.renew();
    for (let i = 0; i < 5; i++) asking.refresh();
    expect([asked.length, asked[0]?.signal.aborted]).toEqual([1, false]);
    asked[0]?.answer(7);
    await settled();
    expect(shown).toEqual(['start', 'answer 7', 'end']);
    asking.refresh();
    expect(asked).toHaveLength(2);
  });

  it('because of news is asked once more after that answer, and only once', async () => {
    const { asking, asked } = slowStore();
    asking.renew();
    asking.refresh({ isNews: true });
    asking.refresh({ isNews: true });
    asking.refresh();
    asked[0]?.answer(1);
    await settled();
    expect(asked).toHaveLength(2);
    asked[1]?.answer(2);
    await settled();
    expect(asked).toHaveLength(2);
  });
});

describe('another question', () => {
  it('gives up the one before: its answer is never shown, whenever it arrives', async () => {
    const { asking, asked, shown } = slowStore();
    asking.renew();
    asking.renew();
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    asked[1]?.answer('new');
    await settled();
    asked[0]?.answer('old');
    await settled();
    expect(shown).toEqual(['start', 'start', 'answer new', 'end']);
  });

  it('is not asked once more because of news for the one before', async () => {
    const { asking, asked } = slowStore();
    asking.renew();
    asking.refresh({ isNews: true });
    asking.renew();
    asked[1]?.answer(1);
    await settled();
    expect(asked).toHaveLength(2);
  });
});

describe('an answer', () => {
  it('that takes long is reported as slow, and is still shown', async () => {
    const { asking, asked, shown } = slowStore();
    asking.renew();
    await vi.advanceTimersByTimeAsync(8_000);
    asked[0]?.answer(1);
    await settled();
    expect(shown).toEqual(['start', 'slow', 'answer 1', 'end']);
  });

  it('that fails is reported, and the question can be asked again', async () => {
    const { asking, asked, shown } = slowStore();
    asking.renew();
    asked[0]?.fail();
    await settled();
    asking.refresh();
    expect([asked.length, shown]).toEqual([2, ['start', 'failure away', 'end', 'start']]);
  });

  it('is not shown after the question was given up', async () => {
    const { asking, asked, shown } = slowStore();
    asking.renew();
    asking.giveUp();
    asked[0]?.answer(1);
    await settled();
    expect(shown).toEqual(['start']);
  });
});

describe('a server that wants to be left alone', () => {
  it('is asked by no timer and for no news before, but when the viewer wishes it, and for another question', async () => {
    const { asking, asked } = slowStore();
    asking.refresh();
    asked[0]?.fail({ retryAfterMs: 30_000 });
    await settled();
    await vi.advanceTimersByTimeAsync(29_000);
    asking.refresh();
    asking.refresh({ isNews: true });
    expect(asked).toHaveLength(1);
    asking.refresh({ isWished: true });
    expect(asked).toHaveLength(2);
    asked[1]?.fail({ retryAfterMs: 30_000 });
    await settled();
    await vi.advanceTimersByTimeAsync(30_000);
    asking.refresh();
    expect(asked).toHaveLength(3);
    asked[2]?.fail({ retryAfterMs: 30_000 });
    await settled();
    asking.renew();
    expect(asked).toHaveLength(4);
  });

  it('is not asked once more because of news that came meanwhile', async () => {
    const { asking, asked } = slowStore();
    asking.refresh();
    asking.refresh({ isNews: true });
    asked[0]?.fail({ retryAfterMs: 30_000 });
    await settled();
    expect(asked).toHaveLength(1);
  });
});
