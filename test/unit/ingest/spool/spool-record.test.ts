import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSpool, spoolRecord } from '../../../../ingest/spool/spool-record.ts';

const texts = fc.array(
  fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).map(text => text.toWellFormed()),
  {
    maxLength: 8,
  },
);

describe('records of the spool', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(texts, written => {
        expect(readSpool(Buffer.concat(written.map(spoolRecord)))).toEqual({ texts: written, unreadableBytes: 0 });
      }),
    );
  });

  it('are read up to where the file was cut off, wherever that is', () => {
    fc.assert(
      fc.property(texts, fc.nat(), (written, at) => {
        const records = written.map(spoolRecord);
        const whole = Buffer.concat(records);
        const cut = whole.subarray(0, at % (whole.length + 1));
        let [end, count] = [0, 0];
        for (const { length } of records) {
          if (end + length > cut.length) break;
          end += length;
          count++;
        }
        expect(readSpool(cut)).toEqual({ texts: written.slice(0, count), unreadableBytes: cut.length - end });
      }),
    );
  });

  it('are read but for the one in which a byte is wrong, whichever it is', () => {
    fc.assert(
      fc.property(texts, fc.nat(), fc.integer({ min: 1, max: 255 }), (written, place, change) => {
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
        expect(readSpool(bytes)).toEqual({
          texts: written.toSpliced(damaged, 1),
          unreadableBytes: records[damaged]!.length,
        });
      }),
    );
  });

  it('hold no empty text, and none that is too long: where a disk has only zeros, there is none', () => {
    expect(() => spoolRecord('')).toThrow(RangeError);
    expect(() => spoolRecord('a'.repeat(65_537))).toThrow(RangeError);
    expect(readSpool(Buffer.alloc(4_096))).toEqual({ texts: [], unreadableBytes: 4_096 });
  });
});
