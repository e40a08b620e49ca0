import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CellTable, hashCell } from '../../../aggregator/core/cell-table.ts';
import type { Tables } from '../../../aggregator/core/click-window.ts';
import { hashClick, type IdBytes, type IdKey, idKeyOf } from '../../../aggregator/core/id-hash.ts';
import { IdSet } from '../../../aggregator/core/id-set.ts';
import { SpareTables } from '../../../aggregator/core/spare-tables.ts';
import { finalUntil, isFinal, windowStartOf } from '../../../aggregator/core/time.ts';
import { Watermark } from '../../../aggregator/core/watermark.ts';
import { noRules } from '../../../ingest/validity/rules.ts';

const encoder = new TextEncoder();
const bytes = (text: string) => encoder.encode(text);
const viewOf = (text: string) => new DataView(bytes(text).buffer);
/** The event id first and then the ad, as in a line; `before` and `after` are bytes of others. */
const idBytes = (ad: string, event: string, { before = '', after = '' } = {}): IdBytes => {
  const eventIdStart = Buffer.byteLength(before);
  const eventIdEnd = eventIdStart + Buffer.byteLength(event);
  const adIdEnd = eventIdEnd + Buffer.byteLength(ad);
  return { view: viewOf(`${before}${event}${ad}${after}`), eventIdStart, eventIdEnd, adIdStart: eventIdEnd, adIdEnd };
};
const hashed = (ad: string, event: string, key: IdKey = idKeyOf(1), isPerAd = true) => {
  const into = new Int32Array(4);
  const adHash = hashClick(idBytes(ad, event), isPerAd, key, into);
  return { id: into.join(), adHash };
};

describe('time', () => {
  it('has half-open windows', () => {
    expect(windowStartOf(120_000)).toBe(120_000);
    expect(windowStartOf(179_999)).toBe(120_000);
  });

  it('calls a window final exactly when final_until has reached its end', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.nat(10_000_000), fc.nat(300_000), (minute, watermark, lateness) => {
        expect(isFinal(minute * 60_000, watermark, lateness)).toBe(
          (minute + 1) * 60_000 <= finalUntil(watermark, lateness),
        );
      }),
    );
  });
});

describe('watermark', () => {
  it('never moves back, and stays the bound behind the highest event time clamped to its append time', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1_000_000), fc.nat(1_000_000))), observations => {
        const watermark = new Watermark(15_000, 0);
        let last = 0;
        for (const [eventTime, appendedAt] of observations) {
          watermark.observe(eventTime, appendedAt);
          expect(watermark.value).toBeGreaterThanOrEqual(last);
          last = watermark.value;
        }
        expect(last).toBe(Math.max(0, ...observations.map(([e, a]) => Math.min(e, a) - 15_000)));
      }),
    );
  });
});

describe('id set', () => {
  it('agrees with a set of strings, also after it has grown', () => {
    const set = new IdSet(4);
    const strings = new Set<string>();
    const id = new Int32Array(4);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3), fc.nat(3)), { minLength: 50, maxLength: 50 }),
        ids => {
          for (const words of ids) {
            id.set(words);
            // The free slot's pattern shares its place with its neighbour.
            const key = words.every(word => word === 0) ? '0,0,0,1' : words.join();
            expect(set.add(id)).toBe(!strings.has(key));
            strings.add(key);
          }
          expect(set.size).toBe(strings.size);
        },
      ),
    );
  });

  it('needs at most 64 bytes an id from a thousand ids on, and 29 from a million on', () => {
    const set = new IdSet();
    const key = idKeyOf(1);
    const id = new Int32Array(4);
    // One `expect` for each of so many would take longer than all the rest.
    let mostBytes = 0;
    for (let i = 1; i <= 200_000; i++) {
      hashClick(idBytes('ad', `e${i}`), true, key, id);
      set.add(id);
      if (i >= 1_000) mostBytes = Math.max(mostBytes, set.byteLength / i);
    }
    expect([set.size, mostBytes <= 64]).toEqual([200_000, true]);
    for (let i = 1; i <= 1_300_000; i++) {
      id.set([Math.imul(i, 0x9e3779b1), i, 1, 1]);
      if (!set.add(id)) throw new Error(`${i} is there already`);
      if (i >= 1_000_000 && set.byteLength / set.size > 29) throw new Error(`${set.byteLength} bytes, ${set.size} ids`);
    }
    for (let i = 1; i <= 1_300_000; i++) {
      id.set([Math.imul(i, 0x9e3779b1), i, 1, 1]);
      if (set.add(id)) throw new Error(`${i} is not there any more`);
    }
    expect(set.size).toBe(1_500_000);
  });
});

describe('id hash', () => {
  const hashOf = (text: string, seed = 1) => hashed('ad', text, idKeyOf(seed)).id;
  const text = fc.string({ minLength: 1, maxLength: 60 });

  it('depends on every byte, on the length and on the seed, and not on what stands around', () => {
    fc.assert(
      fc.property(text, text, text, (a, b, around) => {
        if (a !== b) expect(hashOf(a)).not.toBe(hashOf(b));
        expect(hashOf(a)).not.toBe(hashOf(a, 2));
        const into = new Int32Array(4);
        hashClick(idBytes('ad', a, { before: around, after: b }), true, idKeyOf(1), into);
        expect(into.join()).toBe(hashOf(a));
      }),
    );
  });

  it('tells every two pairs of ad and event id apart, also where together they are the same text', () => {
    expect(hashed('a', 'bc').id).not.toBe(hashed('ab', 'c').id);
    expect(hashed('a', 'b').id).not.toBe(hashed('b', 'a').id);
    fc.assert(
      fc.property(fc.string({ minLength: 2, maxLength: 80 }), fc.nat(), fc.nat(), (whole, one, other) => {
        const cut = (at: number) => {
          const border = 1 + (at % (whole.length - 1));
          return [whole.slice(0, border), whole.slice(border)] as const;
        };
        const [a, b] = [cut(one), cut(other)];
        if (a[0] !== b[0]) expect(hashed(...a).id).not.toBe(hashed(...b).id);
        if (a[0] !== a[1]) expect(hashed(...a).id).not.toBe(hashed(a[1], a[0]).id);
      }),
    );
  });

  it('tells no ads apart in minutes from before ids were per ad', () => {
    fc.assert(
      fc.property(text, text, text, (ad, other, event) => {
        expect(hashed(ad, event, idKeyOf(1), false).id).toBe(hashed(other, event, idKeyOf(1), false).id);
        if (ad !== other) expect(hashed(ad, event).id).not.toBe(hashed(other, event).id);
      }),
    );
  });

  it('gives an ad the same 32 bits whatever the event, and different ones to nearly all ads', () => {
    fc.assert(
      fc.property(text, text, text, (ad, a, b) => {
        expect(hashed(ad, a).adHash).toBe(hashed(ad, b, idKeyOf(1), false).adHash);
      }),
    );
    for (const name of ['ad_', 'a', 'campaign.2026.spring:creative-', '0123456789abcdef0123456789abcdef']) {
      const hashes = new Set(Array.from({ length: 20_000 }, (_, i) => hashed(`${name}${i}`, 'e').adHash));
      // By chance 0.05 of them meet.
      expect(hashes.size).toBeGreaterThanOrEqual(19_995);
      const slots = new Set([...hashes].map(hash => hashCell(hash, 1) & 0xffff));
      expect(slots.size / 65_536).toBeCloseTo(1 - Math.exp(-20_000 / 65_536), 1);
    }
  });

  it.each([
    ['\u038f}:aaaabbbb\u058b\u00fe\u62eazccccddddeeee', '\u05b27%aaaabbbbWq\u0601\u62d7&ccccddddeeee'],
    ['aaaa\u8b1bobbbbcccc\u038f}:y\uc476ddddeeee', 'aaaa\u0153Nsbbbbcccc\u05b27%yl5/ddddeeee'],
    ['aaaabbbb,j\u0782ccccdddd\u8b1boC9zceeee', 'aaaabbbbul`qccccdddd\u0153NsCy5|eeee'],
    ['aaaabbbbcccc\u058b\u00feddddeeee,j\u0782/\u02d1:', 'aaaabbbbccccWq\u0601ddddeeeeul`q/k>q'],
  ])('tells ids apart that collide under every seed where the multipliers are those of MurmurHash3', (a, b) => {
    for (let seed = 0; seed < 200; seed++) expect(hashOf(a, seed)).not.toBe(hashOf(b, seed));
  });

  it('tells ids of one character in all lengths apart, as ads and as event ids', () => {
    for (const letter of ['1', 'a']) {
      const texts = Array.from({ length: 70 }, (_, i) => letter.repeat(i + 1));
      expect(new Set(texts.map(text => hashOf(text))).size).toBe(70);
      expect(new Set(texts.map(ad => hashed(ad, '1').id)).size).toBe(70);
      expect(new Set(texts.map(ad => hashed(ad, '1').adHash)).size).toBe(70);
      expect(new Set(texts.slice(1).map((ad, i) => hashed(ad, letter.repeat(70 - i)).id)).size).toBe(69);
    }
  });

  it('gives the first text three words of its own, whatever the second one is, and different ones to others', () => {
    const firstOf = (first: string, second: string, key = idKeyOf(1)) => {
      const words = new Int32Array(5);
      hashClick(idBytes(first, second), true, key, new Int32Array(4), 0, words, 1);
      expect([words[0], words[4]]).toEqual([0, 0]);
      return words.join();
    };
    fc.assert(
      fc.property(text, text, text, (a, b, second) => {
        expect(firstOf(a, b)).toBe(firstOf(a, second));
        if (a !== b) expect(firstOf(a, second)).not.toBe(firstOf(b, second));
        expect(firstOf(a, b)).not.toBe(firstOf(a, b, idKeyOf(2)));
      }),
    );
    // Addresses are alike. The first word decides where they lie in a table, so it must be different for nearly all.
    const addresses = [
      ...Array.from({ length: 65_536 }, (_, i) => `10.7.${i >> 8}.${i & 255}`),
      ...Array.from({ length: 65_536 }, (_, i) => `${100 + (i >> 8)}.113.121.${100 + (i & 255)}`),
      ...Array.from({ length: 65_536 }, (_, i) => `2001:db8:0:${(i >> 8).toString(16)}::${(i & 255).toString(16)}`),
    ];
    const words = new Int32Array(3 * addresses.length);
    for (const [i, address] of addresses.entries())
      hashClick(idBytes(address, 'u'), true, idKeyOf(1), new Int32Array(4), 0, words, 3 * i);
    const all = addresses.map((_, i) => words.subarray(3 * i, 3 * i + 3));
    expect(new Set(all.map(([a, b, c]) => `${a} ${b} ${c}`)).size).toBe(addresses.length);
    expect(new Set(all.map(([a]) => a)).size).toBeGreaterThan(0.999 * addresses.length);
  });

  it('tells an id from the same id followed by zero bytes', () => {
    for (const id of ['a', 'abc', 'abcd', 'abcdefgh', 'abcdefghijklmno', 'abcdefghijklmnop']) {
      expect(hashOf(id)).not.toBe(hashOf(`${id}\0`));
      expect(hashed(id, 'e').id).not.toBe(hashed(`${id}\0`, 'e').id);
    }
  });

  it.each(['ad', 'event id'])('changes about half of its bits when one bit of the %s changes', which => {
    let flipped = 0;
    const trials = 500;
    for (let i = 0; i < trials; i++) {
      const one = idBytes(`ad-${i}-0123456789abcdef`, `click-${i}-0123456789abcdef`);
      const [from, to] = which === 'ad' ? [one.adIdStart, one.adIdEnd] : [one.eventIdStart, one.eventIdEnd];
      const [x, y] = [new Int32Array(4), new Int32Array(4)];
      hashClick(one, true, idKeyOf(5), x);
      const at = from + (i % (to - from));
      one.view.setUint8(at, one.view.getUint8(at) ^ 1);
      hashClick(one, true, idKeyOf(5), y);
      for (let w = 0; w < 4; w++) flipped += ((x[w]! ^ y[w]!) >>> 0).toString(2).replaceAll('0', '').length;
    }
    expect(flipped / trials / 128).toBeCloseTo(0.5, 1);
  });
});

describe('spare tables', () => {
  const filled = (tables: Tables, ids: number) => {
    const id = new Int32Array(4);
    for (let i = 1; i <= ids; i++) {
      // A hash, as the set expects, and different for each.
      id.fill(Math.imul(i, 0x9e3779b1));
      tables.ids.add(id);
    }
    return tables;
  };

  it('are those of the window before, emptied', () => {
    const spare = new SpareTables();
    const before = filled(spare.acquire([], noRules), 50_000);
    spare.release(before);
    const next = spare.acquire([], noRules);
    expect(next.ids).toBe(before.ids);
    expect(next.ids.size).toBe(0);
  });

  it('are not those of one wild minute, once it is over', () => {
    const spare = new SpareTables();
    const sizes: number[] = [];
    let open = filled(spare.acquire([], noRules), 100_000);
    for (const ids of [1_000_000, 10_000, 10_000, 10_000, 10_000]) {
      const next = filled(spare.acquire([open], noRules), ids);
      spare.release(open);
      open = next;
      sizes.push(open.ids.capacity);
    }
    expect(sizes[0]).toBeGreaterThanOrEqual(1_000_000);
    expect(sizes.at(-1)).toBeLessThanOrEqual(32_768);
    spare.release(open);
    expect(spare.byteLength).toBeLessThan(2 << 20);
  });
});

describe('cell table', () => {
  it('keeps a cell per ad and country, and tells the changed ones once', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ minLength: 1, maxLength: 20 }), fc.constantFrom('KR', 'US')), { maxLength: 600 }),
        given => {
          const table = new CellTable();
          const expected = new Map<string, number>();
          for (const [ad, country] of given) {
            const b = bytes(ad);
            const view = new DataView(b.buffer, b.byteOffset, b.length);
            const code = (country.charCodeAt(0) << 8) | country.charCodeAt(1);
            const cell = table.cellOf(view, 0, b.length, code, hashCell(hashed(ad, 'e').adHash, code));
            table.addClick(cell, false);
            expected.set(`${ad}|${country}`, (expected.get(`${ad}|${country}`) ?? 0) + 1);
          }
          const seen = new Map<string, number>();
          table.drainChanged((arena, start, end, country, cell) => {
            const name = `${new TextDecoder().decode(new Uint8Array(arena.buffer, start, end - start))}|${String.fromCharCode(country >> 8, country & 0xff)}`;
            expect(seen.has(name)).toBe(false);
            seen.set(name, table.clicksOf(cell));
          });
          expect(seen).toEqual(expected);
          expect(table.changedCount).toBe(0);
        },
      ),
    );
  });

  it('keeps them all, each in at most 64 bytes, when they are very many', () => {
    const table = new CellTable();
    const most = 300_000;
    const ads = Array.from({ length: most + 1 }, (_, i) => {
      const view = viewOf(`ad_${i}`);
      return { view, hash: hashCell(hashed(`ad_${i}`, 'e').adHash, 1) };
    });
    const cellOf = (i: number) => {
      const { view, hash } = ads[i]!;
      return table.cellOf(view, 0, view.byteLength, 1, hash);
    };
    let mostBytes = 0;
    for (let i = 1; i <= most; i++) {
      if (cellOf(i) !== i) throw new Error(`ad_${i} is not given cell ${i}`);
      table.addClick(i, false);
      if (i >= 100_000) mostBytes = Math.max(mostBytes, table.byteLength / i);
    }
    expect(mostBytes).toBeLessThanOrEqual(64);
    for (let i = 1; i <= most; i++) if (cellOf(i) !== i) throw new Error(`ad_${i} is in cell ${cellOf(i)}`);
    let changed = 0;
    table.drainChanged((_arena, start, end, _country, cell) => {
      changed++;
      if (end - start !== `ad_${cell}`.length || table.clicksOf(cell) !== 1) throw new Error(`cell ${cell}`);
    });
    expect(changed).toBe(most);
  });
});
