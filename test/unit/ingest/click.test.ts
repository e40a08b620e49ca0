import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatLine, parseTime, partitionOf, splitPartitionOf } from '../../../ingest/click.ts';

describe('parseTime', () => {
  it.each([
    ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.000Z'],
    ['2026-01-01t00:00:00z', '2026-01-01T00:00:00.000Z'],
    ['2026-01-01 00:00:00Z', '2026-01-01T00:00:00.000Z'],
    ['2026-01-01T00:00:00.1Z', '2026-01-01T00:00:00.100Z'],
    ['2026-01-01T00:00:00.123999999+09:00', '2025-12-31T15:00:00.123Z'],
    ['2024-02-29T23:59:59-23:59', '2024-03-01T23:58:59.000Z'],
  ])('reads %s as %s', (text, expected) => {
    expect(parseTime(text)).toBe(Date.parse(expected));
  });

  it.each([
    '2026-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T23:60:00Z',
    '2026-01-01T23:59:60Z',
    '2026-01-01T00:00:00',
    '2026-01-01',
    '2026-01-01T00:00:00+24:00',
    '2026-01-01T00:00:00+0900',
    '2026-01-01T00:00:00.Z',
    '1969-12-31T23:59:59Z',
    ' 2026-01-01T00:00:00Z',
    '2026-01-01T00:00:00Z\n',
    '1767225600000',
    -1,
    0.5,
    Number.NaN,
    2 ** 53,
    null,
    undefined,
    true,
  ])('refuses %j', value => {
    expect(parseTime(value)).toBeUndefined();
  });

  it('gives back every time that Date writes', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
        date => {
          expect(parseTime(date.toISOString())).toBe(date.getTime());
          expect(parseTime(date.getTime())).toBe(date.getTime());
        },
      ),
    );
  });
});

describe('formatLine', () => {
  it('writes the fields in the canonical order', () => {
    const click = {
      clickId: 'C',
      eventId: 'E',
      adId: 'A',
      clickedAt: 1,
      receivedAt: 2,
      country: 'KR',
      userId: 'U',
      ip: '::1',
    };
    expect(formatLine(click)).toBe(
      '{"click_id":"C","event_id":"E","ad_id":"A","clicked_at":1,"received_at":2,"country":"KR","user_id":"U","ip":"::1"}',
    );
  });
});

describe('partitionOf', () => {
  it('is FNV-1a, so that other producers can compute it', () => {
    // Published vectors of 32-bit FNV-1a: "a" e40c292c, "foobar" bf9cf968.
    expect(partitionOf('a', 2 ** 32)).toBe(0xe40c292c);
    expect(partitionOf('foobar', 2 ** 32)).toBe(0xbf9cf968);
  });

  it('spreads ads evenly', () => {
    const counts = new Array<number>(12).fill(0);
    for (let ad = 0; ad < 12_000; ad++) counts[partitionOf(`ad-${ad}`, 12)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(800);
  });
});

describe('splitPartitionOf', () => {
  it('is FNV-1a of the UTF-8 with its halves folded, so that other producers can compute it', () => {
    expect(splitPartitionOf('a', 2 ** 32)).toBe((0xe40c292c ^ 0xe40c) >>> 0);
    expect(splitPartitionOf('foobar', 2 ** 32)).toBe((0xbf9cf968 ^ 0xbf9c) >>> 0);
    let hash = 0x811c9dc5;
    for (const byte of Buffer.from('클릭-é-😀')) hash = Math.imul(hash ^ byte, 0x01000193);
    expect(splitPartitionOf('클릭-é-😀', 2 ** 32)).toBe((hash ^ (hash >>> 16)) >>> 0);
  });

  it.each([
    ['counted up', (i: number) => `event-${i}`],
    ['counted in steps of 16, in hex', (i: number) => `event-${(i * 16).toString(16).padStart(8, '0')}`],
    ['doubled characters, whose low bits cancel out', (i: number) => [...String(i)].map(c => c + c).join('')],
  ])('spreads clicks evenly over any number of partitions, with ids %s', (_what, idOf) => {
    for (const partitions of [2, 4, 12]) {
      const counts = new Array<number>(partitions).fill(0);
      for (let i = 0; i < 12_000; i++) counts[splitPartitionOf(idOf(i), partitions)]!++;
      expect(Math.min(...counts)).toBeGreaterThan((12_000 / partitions) * 0.75);
    }
  });
});
