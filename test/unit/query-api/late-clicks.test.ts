import { describe, expect, it, vi } from 'vitest';
import { createLateClicks } from '../../../query-api/store/late-clicks.ts';
import { clickHouseThatAnswers } from '../../support/clickhouse-that-answers.ts';

const minute = Date.parse('2025-11-22T08:26:00Z');

/** `clicks` wait. While they are read, the wall clock is put forward by `stepMs`. */
function world({ stepMs = 0 } = {}) {
  const state = { clicks: 0, wall: minute + 300_000, monotonic: 5_000 };
  const clickhouse = clickHouseThatAnswers(() => {
    state.wall += stepMs;
    state.monotonic += 1;
    return state.clicks === 0 ? [] : [{ minute, ad_id: 'a', clicks: state.clicks, since: state.wall }];
  });
  const ask = createLateClicks({ clickhouse, now: () => state.wall, clock: () => state.monotonic });
  return { state, clicks: async () => (await ask()).clicks };
}

describe('the late clicks that wait', () => {
  it('are known after a second although the clock was put back by ten minutes since they were read last', async () => {
    const { state, clicks } = world();
    expect(await clicks()).toBe(0);
    state.wall -= 600_000;
    state.clicks = 3;
    state.monotonic += 1_001;
    expect(await clicks()).toBe(3);
  });

  it.each([600_000, 3 * 86_400_000])(
    'are known after a second although the clock was put forward by %d ms while they were read',
    async stepMs => {
      const { state, clicks } = world({ stepMs });
      expect(await clicks()).toBe(0);
      state.clicks = 3;
      state.monotonic += 1_001;
      expect(await clicks()).toBe(3);
    },
  );

  it('are measured by the monotonic clock where nobody gives another', async () => {
    vi.useFakeTimers();
    try {
      let waiting = 0;
      const clickhouse = clickHouseThatAnswers(() => [{ minute, ad_id: 'a', clicks: waiting, since: minute }]);
      const ask = createLateClicks({ clickhouse, now: Date.now });
      await ask();
      waiting = 7;
      vi.setSystemTime(Date.now() - 600_000);
      vi.advanceTimersByTime(1_001);
      expect((await ask()).clicks).toBe(7);
    } finally {
      vi.useRealTimers();
    }
  });
});
