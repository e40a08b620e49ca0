import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEventRing } from '../../../../query-api/routes/live/event-ring.ts';

const ringOf = (events: number, maxEvents = 5, maxBytes = 1_000) => {
  const ring = createEventRing('run', { maxEvents, maxBytes });
  for (let i = 0; i < events; i++) ring.add(id => Buffer.from(id));
  return ring;
};
const idsAfter = (ring: ReturnType<typeof ringOf>, id: string) => ring.after(id)?.map(event => event.id);

describe('the ring of past events', () => {
  it('returns the events after an event, in order', () => {
    expect(idsAfter(ringOf(3), 'run-1')).toEqual(['run-2', 'run-3']);
  });

  it('returns an empty list after the latest event, which differs from not knowing the event', () => {
    expect(idsAfter(ringOf(3), 'run-3')).toEqual([]);
  });

  it('keeps only the latest events', () => {
    const ring = ringOf(9);
    expect(idsAfter(ring, 'run-4')).toEqual(['run-5', 'run-6', 'run-7', 'run-8', 'run-9']);
    expect(idsAfter(ring, 'run-3')).toBeUndefined();
    expect(ring.latest()?.id).toBe('run-9');
  });

  it('keeps no more bytes than the limit, but always the latest event', () => {
    expect(idsAfter(ringOf(9, 100, 12), 'run-7')).toEqual(['run-8', 'run-9']);
    expect(idsAfter(ringOf(9, 100, 12), 'run-6')).toBeUndefined();
    expect(ringOf(3, 100, 1).latest()?.id).toBe('run-3');
  });

  it.each(['other-2', 'run-10', 'run-', 'run-x', '', '2', 'run-2-3', 'run--1'])('does not know %j', id => {
    expect(ringOf(3).after(id)).toBeUndefined();
  });

  it('never leaves a gap: after each id it returns all events, or says that it does not know the id', () => {
    fc.assert(
      fc.property(fc.nat(30), fc.integer({ min: 1, max: 8 }), fc.nat(35), (events, maxEvents, asked) => {
        const ids = idsAfter(ringOf(events, maxEvents), `run-${asked}`);
        const isKnown = asked <= events && events - asked <= maxEvents;
        expect(ids).toEqual(
          isKnown ? Array.from({ length: events - asked }, (_, i) => `run-${asked + 1 + i}`) : undefined,
        );
      }),
    );
  });
});
