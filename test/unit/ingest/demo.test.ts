import { describe, expect, it } from 'vitest';
import { parseClick } from '../../../ingest/click-body.ts';
import { createDemoTraffic, demoShares, lateMs, outOfOrderMaxMs } from '../../../ingest/demo/demo.ts';

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const count = 50_000;
const startMs = 1_763_800_000_000;
const next = createDemoTraffic({ ads: 500, random: seeded(1), runId: 'run' });
const clicks = Array.from({ length: count }, (_, i) => ({ sentAt: startMs + i, click: next(startMs + i) }));

describe('createDemoTraffic', () => {
  it('makes clicks that ingest accepts', () => {
    for (const { click, sentAt } of clicks) expect(parseClick(click, sentAt, 'id')).toMatchObject({ ok: true });
  });

  it('repeats a click with its event_id and its time', () => {
    const byId = Map.groupBy(clicks, ({ click }) => click.event_id);
    for (const copies of byId.values()) expect(new Set(copies.map(({ click }) => JSON.stringify(click))).size).toBe(1);
    expect((count - byId.size) / count).toBeCloseTo(demoShares.duplicate, 2);
  });

  it('has a few hot ads', () => {
    const byAd = Map.groupBy(clicks, ({ click }) => click.ad_id);
    expect(byAd.get('ad-0001')!.length / count).toBeCloseTo(1 / 6.79, 2);
    expect(byAd.size).toBeGreaterThan(490);
  });

  it('has clicks out of order by seconds, and a few late by minutes', () => {
    const behindMs = clicks.map(({ click, sentAt }) => sentAt - click.clicked_at);
    const late = behindMs.filter(ms => ms >= lateMs.min);
    expect(late.length / count).toBeCloseTo(demoShares.late, 3);
    expect(Math.max(...behindMs)).toBeLessThan(lateMs.max);
    expect(behindMs.filter(ms => ms > 200 && ms <= outOfOrderMaxMs).length / count).toBeGreaterThan(0.04);
  });
});
