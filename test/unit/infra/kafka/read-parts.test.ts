import fc from 'fast-check';
import { expect, it } from 'vitest';
import { partsOf } from '../../../../infra/kafka/read-parts.ts';

/** A log after a compaction: between two records, some offsets are gone. */
const logs = fc.array(fc.record({ gap: fc.integer({ min: 0, max: 2 }), length: fc.integer({ min: 0, max: 40_000 }) }), {
  maxLength: 300,
});

it('the parts of a fetch are as small fetches would be: each begins where the one before ends, and none is large', () => {
  fc.assert(
    fc.property(logs, fc.nat(5), (log, behind) => {
      let next = 7;
      const records = log.map(({ gap, length }) => {
        const offset = next + gap;
        next = offset + 1;
        return { offset, timestamp: 0, value: Buffer.alloc(length) };
      });
      const parts = [...partsOf({ fetchedOffset: 7, nextOffset: next + behind, records })];
      expect(parts.flatMap(part => [...part.records])).toEqual(records);
      expect(parts.map(part => part.fetchedOffset)).toEqual([7, ...parts.slice(0, -1).map(part => part.nextOffset)]);
      expect(parts.at(-1)?.nextOffset).toBe(next + behind);
      for (const { fetchedOffset, nextOffset, records: some } of parts) {
        const own = [...some];
        expect(own.every(({ offset }) => offset >= fetchedOffset && offset < nextOffset)).toBe(true);
        expect(own.length).toBeLessThanOrEqual(100);
        const bytes = own.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
        expect(own.length > 1 && bytes > 64 << 10).toBe(false);
      }
    }),
  );
});

it('what follows a part is not even read before it is asked for', () => {
  let read = 0;
  function* records() {
    for (let offset = 0; offset < 1_000; offset++) {
      read++;
      yield { offset, timestamp: 0, value: null };
    }
  }
  const parts = partsOf({ fetchedOffset: 0, nextOffset: 1_000, records: records() });
  parts.next();
  expect(read).toBeLessThanOrEqual(101);
});
