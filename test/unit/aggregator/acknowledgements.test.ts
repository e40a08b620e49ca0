import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAcks, encodeAcks } from '../../../aggregator/ack-metadata.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../../aggregator/commit-metadata.ts';
import {
  Acknowledgements,
  type AckState,
  mostWriters,
  noAcks,
  rememberedMs,
  unknownAcks,
} from '../../../aggregator/core/acknowledgements.ts';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { formatAcks } from '../../../ingest/ack-chain.ts';
import { ackChains } from '../../support/ack-chains.ts';
import { AckLog, type AckRecord, type Fate, fates, writerId } from '../../support/ack-log.ts';
import { click, minute0, ndjson } from '../../support/clicks.ts';

const second = 1_000;
const appendTimeOf = ({ offset }: AckRecord) => minute0 + offset * second;

/** What is told after the records; `isRestart`: the state goes through the checkpoint before that record. */
function followed(
  records: readonly AckRecord[],
  from: AckState = noAcks,
  isRestart: (record: AckRecord) => boolean = () => false,
): AckState {
  let acknowledgements = new Acknowledgements(from);
  for (const record of records) {
    if (isRestart(record)) acknowledgements = new Acknowledgements(decodeAcks(encodeAcks(acknowledgements.state)));
    if (record.acks !== undefined) acknowledgements.process(record.acks, record.lines, appendTimeOf(record));
  }
  return acknowledgements.state;
}

/** One writer whose batches of ten lines have these fates. */
function logOf(...sent: readonly Fate[]): AckLog {
  const log = new AckLog();
  const writer = log.start(minute0);
  for (const fate of sent) log.send(writer, [10], fate);
  return log;
}

const sends = fc.record({
  writer: fc.nat(3),
  sizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
  fate: fc.constantFrom(...fates),
});
type Event =
  | { readonly writer: number; readonly sizes: readonly number[]; readonly fate: Fate }
  | { readonly foreign: number }
  | { readonly killed: number }
  | 'statements';
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 10, arbitrary: sends },
  { weight: 1, arbitrary: fc.record({ foreign: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ killed: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant('statements' as const) },
);
const events = fc.array(event, { maxLength: 60 });

/** Four processes side by side; one that is killed is followed by another. */
function played(course: readonly Event[], without?: Fate): AckLog {
  const log = new AckLog();
  const running = [0, 1, 2, 3].map(() => log.start(minute0));
  for (const event of course) {
    if (event === 'statements') log.state();
    else if ('foreign' in event) log.appendForeign(event.foreign);
    else if ('killed' in event) running[event.killed] = log.start(minute0 + log.records.length * second);
    else log.send(running[event.writer]!, event.sizes, event.fate === without ? 'kept' : event.fate);
  }
  log.state();
  return log;
}

describe('lines that were acknowledged', () => {
  it('are told by the batch after theirs, and none of them is missing', () => {
    expect(followed(logOf('kept', 'kept', 'kept').records)).toMatchObject({
      acknowledged: 20,
      missing: 0,
      repeated: 0,
    });
  });

  it.each<[Fate[], number, number]>([
    [['kept', 'lost', 'kept'], 20, 10],
    [['lost', 'kept'], 10, 10],
    [['lost', 'lost', 'lost', 'kept'], 30, 30],
    [['kept in doubt', 'lost', 'kept'], 10, 10],
    [['kept', 'gone in doubt', 'lost', 'gone in doubt', 'kept'], 20, 10],
    [['kept in doubt', 'gone in doubt', 'lost', 'lost', 'kept'], 20, 20],
    [['late in doubt', 'lost', 'kept', 'kept'], 20, 10],
  ])('are missing where they never came: %j', (course, acknowledged, missing) => {
    expect(followed(logOf(...course).records)).toMatchObject({ acknowledged, missing });
  });

  it.each<[Fate[]]>([
    [['gone in doubt', 'kept', 'kept']],
    [['kept in doubt', 'kept in doubt', 'kept']],
    [['late in doubt', 'kept', 'kept', 'kept']],
    [['kept', 'late in doubt', 'gone in doubt', 'kept']],
  ])('are not missing where a batch was merely in doubt: %j', course => {
    expect(followed(logOf(...course).records).missing).toBe(0);
  });

  it('are exactly those that are lost, whoever writes, whatever is in doubt, whenever the aggregator starts anew', () => {
    fc.assert(
      fc.property(events, fc.integer({ min: 1, max: 20 }), (course, every) => {
        const log = played(course);
        const state = followed(log.records, noAcks, ({ offset }) => offset % every === 0);
        expect(state).toMatchObject({ ...log.truth, unreadable: 0 });
        expect(state).toEqual(followed(log.records));
      }),
      { numRuns: 500 },
    );
  });

  it('are found alike by who reads the whole topic at once', () => {
    fc.assert(
      fc.property(events, course => {
        const log = played(course);
        const printed = log.records.flatMap(({ offset, acks = '', lines }) =>
          Array.from({ length: Math.max(1, lines) }, () => ({
            ...{ partition: 0, offset, kind: acks },
            line: lines === 0 ? '' : '{}',
          })),
        );
        const { acknowledged, missing, violations } = ackChains(printed);
        expect({ acknowledged, missing }).toEqual(log.truth);
        expect(violations.length > 0).toBe(missing > 0);
      }),
    );
  });

  it('are never called missing without a loss, wherever the log is read from', () => {
    fc.assert(
      fc.property(events, fc.nat(100), (course, first) => {
        const log = played(course, 'lost');
        const rest = log.records.slice(first);
        expect(followed(rest, unknownAcks)).toMatchObject({ missing: 0, unreadable: 0 });
      }),
      { numRuns: 500 },
    );
  });

  it('are not missing where they lie before the beginning, behind which a batch in doubt came late', () => {
    const log = logOf('late in doubt', 'kept');
    log.state();
    const [, ...rest] = log.records;
    expect(rest).toHaveLength(2);
    expect(followed(rest, unknownAcks).missing).toBe(0);
  });

  it('are at most those that are lost, wherever the log is read from', () => {
    fc.assert(
      fc.property(events, fc.nat(100), (course, first) => {
        const log = played(course);
        const { acknowledged, missing } = followed(log.records.slice(first), unknownAcks);
        expect(missing).toBeLessThanOrEqual(log.truth.missing);
        expect(acknowledged).toBeLessThanOrEqual(log.truth.acknowledged);
      }),
      { numRuns: 500 },
    );
  });

  it('are at most those that are lost where a writer was not heard of for more than 32 batches', () => {
    const doubts = Array.from({ length: 40 }, () => 'gone in doubt' as const);
    expect(followed(logOf('kept', ...doubts, 'kept').records)).toMatchObject({ acknowledged: 10, missing: 0 });
    expect(followed(logOf('kept', 'lost', ...doubts, 'kept').records)).toMatchObject({ acknowledged: 20, missing: 10 });
    // The ten lines that nobody acknowledged may be taken for the ten that were.
    expect(followed(logOf('kept in doubt', 'lost', ...doubts, 'kept').records)).toMatchObject({ missing: 0 });
  });

  it('are not looked for beyond the last word of a process', () => {
    const log = logOf('kept', 'lost');
    expect(followed(log.records)).toMatchObject({ acknowledged: 0, missing: 0 });
    log.state();
    expect(followed(log.records)).toMatchObject({ acknowledged: 20, missing: 10 });
  });
});

describe('a batch that stands in the log twice', () => {
  it('is counted as repeated, of one record or of several, at once or later', () => {
    expect(followed(logOf('kept', 'kept twice', 'kept').records).repeated).toBe(10);
    const log = new AckLog();
    const writer = log.start(minute0);
    log.send(writer, [1, 2, 3], 'kept twice');
    log.send(writer, [4], 'kept');
    const [first] = log.records;
    expect(followed([...log.records, { ...first!, offset: log.records.length }]).repeated).toBe(6 + 1);
  });
});

describe('a writer that is not known', () => {
  const told = (batch: number, total: number, bornAt: number) =>
    formatAcks({ writer: writerId(bornAt, batch), batch, lines: 1, last: batch - 1, outcomes: 1, total });

  it('has lost what it tells of, if it was born when all writers were followed', () => {
    const acknowledgements = new Acknowledgements(noAcks);
    acknowledgements.process(told(2, 30, minute0), 1, minute0);
    expect(acknowledgements.totals).toMatchObject({ acknowledged: 30, missing: 30 });
  });

  it('has told of it earlier, if it may be older than the following', () => {
    const acknowledgements = new Acknowledgements(unknownAcks);
    acknowledgements.process(told(2, 30, minute0), 1, minute0);
    acknowledgements.process(told(3, 50, minute0 + 60 * second), 1, minute0 + 61 * second);
    expect(acknowledgements.totals).toMatchObject({ acknowledged: 0, missing: 0 });
    // An hour later nobody is that old any more, unless a clock is an hour ahead.
    const later = minute0 + 3_600 * second;
    acknowledgements.process(told(4, 7, later + 3_600 * second), 1, later);
    expect(acknowledgements.totals.missing).toBe(0);
    acknowledgements.process(told(5, 7, later), 1, later);
    expect(acknowledgements.totals).toMatchObject({ acknowledged: 7, missing: 7 });
  });

  it('may be one that was forgotten, after a day of silence or for lack of room', () => {
    const header = (batch: number, serial: number, total = batch - 1) =>
      formatAcks({ writer: writerId(minute0, serial), batch, lines: 1, last: batch - 1, outcomes: 1, total });
    const silent = new Acknowledgements(noAcks);
    silent.process(header(1, 0), 1, minute0);
    silent.process(header(1, 1), 1, minute0 + rememberedMs + second);
    expect(silent.state.writers).toHaveLength(1);
    silent.process(header(9, 0), 1, minute0 + rememberedMs + 2 * second);
    expect(silent.totals.missing).toBe(0);
    const crowd = new Acknowledgements(noAcks);
    for (let serial = 0; serial <= 2 * mostWriters; serial++) crowd.process(header(1, serial), 1, minute0 + serial);
    expect(crowd.state.writers).toHaveLength(mostWriters);
    crowd.process(header(9, 0), 1, minute0 + second);
    expect(crowd.totals.missing).toBe(0);
  });
});

describe('a header that is none', () => {
  it('is counted, and changes nothing else', () => {
    const acknowledgements = new Acknowledgements(followed(logOf('kept', 'kept').records));
    const before = acknowledgements.state;
    acknowledgements.process('\u0000', 5, minute0);
    const falling = { writer: writerId(minute0, 0), batch: 9, lines: 1, last: 8, outcomes: 1, total: 3 };
    acknowledgements.process(formatAcks(falling), 1, minute0);
    expect(acknowledgements.state).toEqual({ ...before, unreadable: 2 });
  });

  it('cannot make a sum that the checkpoint does not hold', () => {
    const acknowledgements = new Acknowledgements(noAcks);
    for (let serial = 0; serial < 20; serial++) {
      const most = { batch: 999_999_999_999_999, lines: 1, last: 1, outcomes: 0, total: 999_999_999_999_999 };
      acknowledgements.process(formatAcks({ writer: writerId(minute0, serial), ...most }), 1, minute0);
    }
    expect(decodeAcks(encodeAcks(acknowledgements.state))).toEqual(acknowledgements.state);
  });
});

describe('in the checkpoint', () => {
  it('takes less than 3 KB of 4, whatever is told', () => {
    const most = 999_999_999_999_999;
    const largest = { batch: most, lines: most, received: most, total: most, seen: 0xffff_ffff, seenAt: 2 ** 45 };
    const writers = Array.from({ length: mostWriters }, (_, i) => ({ writer: writerId(2 ** 45, i), ...largest }));
    const sums = { acknowledged: 2 ** 53 - 1, missing: 2 ** 53 - 1, repeated: 2 ** 53 - 1, unreadable: 2 ** 53 - 1 };
    const state = { ...sums, unknownUntil: 2 ** 45, writers };
    expect(encodeAcks(state).length).toBeLessThan(3_000);
    expect(decodeAcks(encodeAcks(state))).toEqual(state);
    const most53 = 2 ** 53 - 1;
    const checkpoint = { restoreFrom: most53, watermarkAtRestoreFrom: most53, watermark: most53, finalUntil: most53 };
    const totals = { received: most53, counted: most53, duplicates: most53, quarantined: most53, invalid: most53 };
    expect(encodeCheckpoint({ ...checkpoint, totals, idsPerAdFrom: most53, acks: state }).length).toBeLessThan(4_096);
  });

  it('need not stand there: a commit of a release that knew nothing of it is read', () => {
    const { acks: _, ...before } = JSON.parse(encodeCheckpoint({ ...freshCheckpoint(0), restoreFrom: 7 }));
    expect(decodeCheckpoint(JSON.stringify(before))).toEqual({
      ...{ ...freshCheckpoint(0), restoreFrom: 7 },
      acks: unknownAcks,
    });
  });

  it('goes on where it was, for an aggregator that starts anew before any record', () => {
    const { records } = logOf('kept', 'lost', 'kept in doubt', 'kept', 'kept twice', 'kept');
    const settings = { partition: 0, partitions: 1, outOfOrdernessMs: 0, allowedLatenessMs: 0, hashSeed: 1 };
    const value = ndjson(...Array.from({ length: 10 }, () => click()));
    const feed = (aggregator: PartitionAggregator, from: number, to: number) => {
      for (const record of records.slice(from, to))
        aggregator.process(record.offset, appendTimeOf(record), value, undefined, undefined, record.acks);
      return aggregator;
    };
    const whole = feed(new PartitionAggregator(settings, freshCheckpoint(0)), 0, records.length).drain();
    expect(whole.progress).toMatchObject({ received: 60, acknowledged: 40, missing: 10 });
    for (let at = 0; at <= records.length; at++) {
      const { checkpoint } = feed(new PartitionAggregator(settings, freshCheckpoint(0)), 0, at).drain();
      const from = decodeCheckpoint(encodeCheckpoint(checkpoint));
      const revived = feed(new PartitionAggregator(settings, from), from.restoreFrom, at);
      revived.endRestore();
      expect(feed(revived, at, records.length).drain().checkpoint).toEqual(whole.checkpoint);
    }
  });

  it.each([[undefined], [7], [''], ['x'], ['1.2.3.4']])('%j tells nothing that is known', text => {
    expect(decodeAcks(text)).toMatchObject({ unknownUntil: undefined, writers: [] });
  });
});
