import { describe, expect, it } from 'vitest';
import { createIdleTicks, type ReadPartition } from '../../../aggregator/idle-ticks.ts';
import { createLog } from '../../../infra/log.ts';

const outOfOrdernessMs = 15_000;
const startedAt = Date.UTC(2026, 10, 29, 10, 0, 0);

/** A partition to which nothing comes but its ticks, for `forMs`; tells when they were appended, in ms since it began. */
async function ticksOf(
  forMs: number,
  {
    openWindows = 0,
    isAtEnd = true,
    beginAtMs = 0,
    refusedUntilMs = 0,
  }: Partial<ReadPartition> & Record<string, unknown> = {},
): Promise<number[]> {
  const appended: number[] = [];
  let now = Number(beginAtMs);
  let watermark = startedAt - 3_600_000;
  const append = async () => {
    if (now < Number(refusedUntilMs)) throw new Error('the broker is away');
    appended.push(now);
    watermark = startedAt + now - outOfOrdernessMs;
  };
  const ticks = createIdleTicks(5_000, append, createLog('test', 'fatal'));
  ticks.begin(now);
  for (; now <= forMs; now += 50) {
    const seen = watermark;
    await ticks.onTimer(now, () => ({ isAtEnd: Boolean(isAtEnd), watermark, openWindows: Number(openWindows) }));
    if (watermark > seen) ticks.watermarkMoved(now);
  }
  return appended;
}

describe('ticks of an idle partition', () => {
  it('come every interval while a window is open', async () => {
    expect(await ticksOf(30_000, { openWindows: 1 })).toEqual([5_000, 10_000, 15_000, 20_000, 25_000, 30_000]);
  });

  it('come when a minute of event time ends, and once in between, while none is open', async () => {
    const [first, ...rest] = await ticksOf(200_000);
    expect(first).toBe(5_000);
    // The watermark stands 15 s behind: minutes end at 15, 75, 135 and 195 s.
    expect(rest).toEqual([15_000, 45_000, 75_000, 105_000, 135_000, 165_000, 195_000]);
  });

  it('make no minute final later than ticks at every interval do', async () => {
    for (let beginAtMs = 0; beginAtMs < 60_000; beginAtMs += 1_650) {
      const untilMs = 600_000;
      const finalAt = (ticks: readonly number[], minuteEndMs: number) =>
        ticks.find(at => at - outOfOrdernessMs >= minuteEndMs) ?? Number.POSITIVE_INFINITY;
      const [atRest, always] = [
        await ticksOf(untilMs, { beginAtMs }),
        await ticksOf(untilMs, { beginAtMs, openWindows: 1 }),
      ];
      for (let minuteEndMs = 60_000; minuteEndMs < untilMs - 60_000; minuteEndMs += 60_000)
        expect(finalAt(atRest, minuteEndMs)).toBeLessThanOrEqual(finalAt(always, minuteEndMs));
      expect(atRest.length).toBeLessThan(always.length / 5);
    }
  });

  it('are tried again after an interval where they could not be appended', async () => {
    expect((await ticksOf(30_000, { refusedUntilMs: 12_000 }))[0]).toBe(15_000);
  });

  it('are none before the end of the log', async () => {
    expect(await ticksOf(60_000, { isAtEnd: false })).toEqual([]);
  });
});
