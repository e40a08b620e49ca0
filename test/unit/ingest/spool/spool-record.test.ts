import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSpool, spoolRecord } from '../../../../ingest/spool/spool-record.ts';

/** All of it, so many texts at a time. */
function readAll(bytes: Buffer, most: number): { texts: string[]; unreadableBytes: number } {
  const all = { texts: [] as string[], unreadableBytes: 0 };
  for (let at = 0; at < bytes.length; ) {
    const { texts, unreadableBytes, end } = readSpool(bytes, at, most);
    expect(texts.length).toBeLessThanOrEqual(most);
    all.texts.push(...texts);
    all.unreadableBytes += unreadableBytes;
    at = end;
  }
  return all;
}

const mosts = fc.integer({ min: 1, max: 9 });
const texts = fc.array(
  fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).map(text => text.toWellFormed()),
  {
    maxLength: 8,
  },
);

describe('records of the spool', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(texts, mosts, (written, most) => {
        expect(readAll(Buffer.concat(written.map(spoolRecord)), most)).toEqual({ texts: written, unreadableBytes: 0 });
      }),
    );
  });

  it('are read up to where the file was cut off, wherever that is', () => {
    fc.assert(
      fc.property(texts, fc.nat(), mosts, (written, at, most) => {
        const records = written.map(spoolRecord);
        const whole = Buffer.concat(records);
        const cut = whole.subarray(0, at % (whole.length + 1));
        let [end, count] = [0, 0];
        for (const { length } of records) {
          if (end + length > cut.length) break;
          end += length;
          count++;
        }
        expect(readAll(cut, most)).toEqual({ texts: written.slice(0, count), unreadableBytes: cut.length - end });
      }),
    );
  });

  it('are read but for the one in which a byte is wrong, whichever it is', () => {
    fc.assert(
      fc.property(texts, fc.nat(), fc.integer({ min: 1, max: 255 }), mosts, (written, place, change, most) => {
        fc.pre(written.length > 0);
        const records = written.map(spoolRecord);
        const bytes = Buffer.concat(records);
        const at = place % bytes.length;
        bytes[at] = bytes[at]! ^ change;
        let [damaged, end] = [0, 0];
        for (const [i, { length }] of records.entries()) {
          if (at >= end && at < end + length) damaged = i;
          end += length;
        }
        expect(readAll(bytes, most)).toEqual({
          texts: written.toSpliced(damaged, 1),
          unreadableBytes: records[damaged]!.length,
        });
      }),
    );
  });

  it('hold no empty text, and none that is too long: where a disk has only zeros, there is none', () => {
    expect(() => spoolRecord('')).toThrow(RangeError);
    expect(() => spoolRecord('a'.repeat(65_537))).toThrow(RangeError);
    expect(readAll(Buffer.alloc(4_096), 1)).toEqual({ texts: [], unreadableBytes: 4_096 });
  });
});
