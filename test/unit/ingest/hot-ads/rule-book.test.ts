import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import { Corrupt, Retryable } from '../../../../infra/errors.ts';
import { limits, partitionOf, splitPartitionOf } from '../../../../ingest/click.ts';
import type { PartitionRule } from '../../../../ingest/hot-ads/partition-rule.ts';
import {
  expiredRecord as expiredRecordOf,
  HotAdConfig,
  type HotAdRule,
  hotAdTermsOf,
  partitionsRecord as partitionsRecordOf,
  ruleRecord as ruleRecordOf,
  tickRecord as tickRecordOf,
} from '../../../../ingest/hot-ads/rule.ts';
import { RuleBook } from '../../../../ingest/hot-ads/rule-book.ts';
import { HotAdsLog, readOn } from '../../../support/hot-ads-log.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const partitions = 4;
const now = Date.parse('2026-03-01T12:00:00Z');
const hotAdTerms = hotAdTermsOf(loadConfig(HotAdConfig, {}));
const { noticeMs, brokerSkewMs, keptMs } = hotAdTerms;
const ruleRecord = (rule: HotAdRule) => ruleRecordOf(rule, hotAdTerms);
const expiredRecord = (rule: HotAdRule) => expiredRecordOf(rule, hotAdTerms);
const tickRecord = tickRecordOf(hotAdTerms);

let serial = 0;
const ulid = () => `01K${String(++serial).padStart(23, '0')}`;
const ruleOf = (fields: Partial<HotAdRule> = {}): HotAdRule => ({
  ruleId: ulid(),
  adId: 'ad-hot',
  from: now + 10 * minute,
  until: now + 70 * minute,
  ...fields,
});
/** An event whose split partition is not the home partition of the ad. */
const eventOf = (adId: string) => {
  const away = (id: string) => splitPartitionOf(id, partitions) !== partitionOf(adId, partitions);
  return Array.from({ length: 100 }, (_, i) => `event-${i}`).find(away) ?? '';
};
const eventId = eventOf('ad-hot');
const routed = (book: RuleBook, clickedAt: number, adId = 'ad-hot') => book.partitionFor({ adId, eventId, clickedAt });
const home = partitionOf('ad-hot', partitions);
const split = splitPartitionOf(eventId, partitions);

const partitionsRecord = (rule: PartitionRule) => partitionsRecordOf(rule, hotAdTerms);
const base = (partitions = 4): PartitionRule => ({ ruleId: ulid(), from: 0, partitions });
/** A log in which the number of partitions is recorded. */
function begunLog(): HotAdsLog {
  const log = new HotAdsLog();
  log.append(partitionsRecord(base(partitions)), now - hour);
  return log;
}

/** A log with a rule that holds, and a book that has read it and a tick at `at`. */
function announced(rule = ruleOf(), at = now + 9 * minute) {
  const log = begunLog();
  log.append(ruleRecord(rule), now);
  log.append(tickRecord, at);
  const book = new RuleBook(hotAdTerms);
  readOn(book, log);
  return { log, book, rule };
}

describe('RuleBook', () => {
  it('splits an ad from the first to the last minute of its rule, by the event time, whenever that is asked', () => {
    const { book, rule } = announced(ruleOf(), now + day);
    for (const at of [rule.from - 1, rule.until, now]) expect(routed(book, at)).toBe(home);
    for (const at of [rule.from, rule.from + 1, rule.until - 1]) expect(routed(book, at)).toBe(split);
    expect(routed(book, rule.from, 'ad-other')).toBe(partitionOf('ad-other', partitions));
  });

  it('knows the union of all rules of an ad, in whatever order they came', () => {
    const rules = [
      ruleOf({ from: now + 20 * minute, until: now + 40 * minute }),
      ruleOf({ from: now + 10 * minute, until: now + 30 * minute }),
      ruleOf({ from: now + 50 * minute, until: now + 60 * minute }),
    ];
    const books = [rules, rules.toReversed()].map(order => {
      const log = begunLog();
      for (const rule of order) log.append(ruleRecord(rule), now);
      log.append(tickRecord, now + day);
      const book = new RuleBook(hotAdTerms);
      readOn(book, log);
      return book;
    });
    const isSplit = (book: RuleBook) => Array.from({ length: 70 }, (_, i) => book.isSplit('ad-hot', now + i * minute));
    expect(isSplit(books[0]!)).toEqual(isSplit(books[1]!));
    expect(isSplit(books[0]!)).toEqual(
      Array.from({ length: 70 }, (_, i) => (i >= 10 && i < 40) || (i >= 50 && i < 60)),
    );
  });

  it('routes no click of a minute that a rule it has not read may cover', () => {
    const log = begunLog();
    log.append(tickRecord, now);
    const book = new RuleBook(hotAdTerms);
    expect(() => routed(book, now)).toThrow(Retryable);
    readOn(book, log);
    const knownUntil = now + noticeMs - brokerSkewMs;
    expect(book.knownUntil).toBe(knownUntil);
    expect(routed(book, knownUntil - 1)).toBe(home);
    expect(() => routed(book, knownUntil + minute)).toThrow(/not known yet/);
    // The soonest rule that may stand behind the tick, by the clock of the slowest broker.
    const soonest = Math.ceil((now - brokerSkewMs + noticeMs) / minute) * minute;
    log.append(ruleRecord(ruleOf({ from: soonest })), now - brokerSkewMs);
    expect(() => routed(book, soonest)).toThrow(Retryable);
    log.append(tickRecord, now + minute);
    readOn(book, log);
    expect(routed(book, soonest)).toBe(split);
    expect(routed(book, soonest - 1)).toBe(home);
  });

  it('can route whatever ingest takes, as long as it hears of the log within most of a minute', () => {
    const { book } = announced(ruleOf(), now);
    const refusalAfter = (ms: number) => book.refusal(now + ms + limits.maxAheadMs);
    expect(refusalAfter(50_000)).toBeUndefined();
    expect(refusalAfter(2 * minute)).toBeInstanceOf(Retryable);
  });

  it('takes a rule that came too late for one that never held', () => {
    const rule = ruleOf({ from: now + 6 * minute });
    const log = begunLog();
    log.append(ruleRecord(rule), now);
    log.append(tickRecord, now + day);
    const book = new RuleBook(hotAdTerms);
    expect(readOn(book, log)).toMatchObject({ announced: [], tooLate: [rule] });
    expect(routed(book, rule.from)).toBe(home);
    expect(book.rules).toEqual([]);
  });

  it('is sure of nothing when it was not read from the beginning of the log', () => {
    const { log } = announced();
    const book = new RuleBook(hotAdTerms);
    expect(() => book.read(log.fetch(1))).toThrow(Corrupt);
    expect(() => routed(book, now)).toThrow(/what stood between is unknown/);
    expect(() => readOn(book, log)).toThrow(Corrupt);
  });

  it('knows as much after a second reading as after the first', () => {
    const { log, book, rule } = announced();
    expect(book.read(log.fetch(0))).toEqual({ announced: [], tooLate: [], partitions: [], versions: [] });
    expect(book.rules).toEqual([rule]);
  });

  it.each([
    ['no JSON', { partition: 0, key: 'k', value: 'garbage', headers: { kind: 'rule', notice_ms: String(noticeMs) } }],
    ['no kind', { partition: 0, key: 'k', value: '{}', headers: { notice_ms: String(noticeMs) } }],
    [
      'a kind of the future',
      { partition: 0, key: 'k', value: '{}', headers: { kind: 'merge', notice_ms: String(noticeMs) } },
    ],
    ['half a minute', ruleRecord(ruleOf({ from: now + 30_000 }))],
    ['an end before its beginning', ruleRecord(ruleOf({ until: now }))],
    ['an end after too many days', ruleRecord(ruleOf({ until: now + 30 * day }))],
    ['an id that no ad has', ruleRecord(ruleOf({ adId: 'no such id' }))],
    ['a rule given up while it is needed', expiredRecord(ruleOf())],
    ['another notice than ours', tickRecordOf({ ...hotAdTerms, noticeMs: 60_000 })],
    [
      'nothing under the key of a rule',
      { partition: 0, key: 'k', value: null, headers: { notice_ms: String(noticeMs) } },
    ],
  ])('routes nothing any more after a record with %s, and says which', (_what, record) => {
    const { log, book } = announced();
    log.append(record, now + hour);
    log.append(tickRecord, now + hour);
    expect(() => readOn(book, log)).toThrow(/offset 3/);
    expect(() => routed(book, now)).toThrow(/hot ads: topic hot-ads, .*offset 3/);
  });

  it('is corrupt where a rule comes that would change what it has routed: the brokers’ clocks are wrong', () => {
    const { log, book } = announced();
    log.append(ruleRecord(ruleOf({ from: now + 11 * minute })), now);
    expect(() => readOn(book, log)).toThrow(/clocks differ/);
  });

  it('gives up rules, those that came too late too, when raw clicks of their minutes are long gone', () => {
    const late = ruleOf({ from: now, until: now + minute });
    const { log, book, rule } = announced();
    log.append(ruleRecord(late), now + hour);
    log.append(tickRecord, late.until + keptMs - 1);
    readOn(book, log);
    expect(book.expired()).toEqual([]);
    log.append(tickRecord, rule.until + keptMs + hour);
    readOn(book, log);
    expect(book.expired()).toEqual([rule, late]);
    for (const expired of book.expired()) log.append(expiredRecord(expired), rule.until + keptMs + hour);
    readOn(book, log);
    expect([book.rules, book.size]).toEqual([[], 0]);
  });

  it.each([
    ['1 ms', 1],
    ['10 seconds, by which the clocks of brokers may differ,', 10_000],
    ['10 minutes', 10 * minute],
  ])('gives up rules so that the broker may put its clock back by %s before the record is appended', (_, backMs) => {
    const { log, book, rule } = announced();
    for (let at = rule.until + keptMs; book.expired().length === 0; at += 5_000) {
      log.append(tickRecord, at);
      readOn(book, log);
    }
    log.append(expiredRecord(rule), book.lastAppendedAt - backMs);
    readOn(book, log);
    expect([book.isCorrupt, book.size]).toEqual([false, 0]);
  });

  it('gives up nothing by a time that the clock of the broker had before it was put back by three days', () => {
    const { log, book, rule } = announced();
    log.append(tickRecord, rule.until + keptMs + 2 * hour);
    log.append(tickRecord, rule.until + keptMs + 2 * hour - 3 * day);
    readOn(book, log);
    expect(book.expired()).toEqual([]);
    expect(book.lastAppendedAt).toBe(rule.until + keptMs + 2 * hour);
  });

  it('keeps what it must know through compaction, and a new process knows the same', () => {
    const rules = [ruleOf(), ruleOf({ until: now + 3 * hour }), ruleOf(), ruleOf({ adId: 'ad-2' })];
    const log = begunLog();
    for (const rule of rules) log.append(ruleRecord(rule), now);
    for (let i = 0; i < 100; i++) log.append(tickRecord, now + i * 5_000);
    log.compact(now);
    expect([...log.fetch(0).records]).toHaveLength(6);
    const book = new RuleBook(hotAdTerms);
    readOn(book, log);
    expect(book.rules).toHaveLength(4);
    expect(book.isSplit('ad-hot', now + 2 * hour)).toBe(true);
  });
});

describe('RuleBook, over how many partitions', () => {
  const adId = 'ad-7';
  const from = now + 10 * minute;
  const placed = (book: RuleBook, clickedAt: number) => book.partitionFor({ adId, eventId, clickedAt });
  const grown = (rules: readonly PartitionRule[], appendedAt = now) => {
    const log = begunLog();
    for (const rule of rules) log.append(partitionsRecord(rule), appendedAt);
    log.append(tickRecord, now + day);
    const book = new RuleBook(hotAdTerms);
    readOn(book, log);
    return { log, book };
  };
  const growth = (to = 12, at = from): PartitionRule => ({ ruleId: ulid(), from: at, partitions: to });

  it('routes nothing before the number is recorded, whatever else it knows', () => {
    const log = new HotAdsLog();
    log.append(tickRecord, now);
    const book = new RuleBook(hotAdTerms);
    readOn(book, log);
    expect(() => placed(book, now)).toThrow(/does not say yet over how many/);
    expect([book.partitions, book.partitionsAt(now)]).toEqual([undefined, undefined]);
    log.append(partitionsRecord(base(7)), now);
    readOn(book, log);
    expect([placed(book, now), book.partitions]).toEqual([partitionOf(adId, 7), 7]);
  });

  it('goes by the first base of the log, whoever wrote another beside it, also after compaction', () => {
    const log = new HotAdsLog();
    for (const partitions of [4, 16]) log.append(partitionsRecord(base(partitions)), now);
    log.append(tickRecord, now);
    log.compact(now);
    const book = new RuleBook(hotAdTerms);
    expect(readOn(book, log).partitions.map(({ holds }) => holds)).toEqual([true, false]);
    expect(placed(book, now)).toBe(partitionOf(adId, 4));
  });

  it('routes by the greater number from the minute of the event on, and by the old one before, whenever it is asked', () => {
    const { book } = grown([growth()]);
    for (const at of [now - day, now, from - 1]) expect(placed(book, at), String(at)).toBe(partitionOf(adId, 4));
    for (const at of [from, from + 1, from + hour]) expect(placed(book, at)).toBe(partitionOf(adId, 12));
    expect([book.partitionsAt(from - 1), book.partitionsAt(from), book.partitions]).toEqual([4, 12, 12]);
  });

  it('spreads an ad that is split over as many partitions as there are in its minute', () => {
    const log = begunLog();
    log.append(partitionsRecord(growth()), now);
    log.append(ruleRecord(ruleOf({ from: from - 5 * minute + 5 * minute, until: from + hour })), now);
    log.append(tickRecord, now + day);
    const book = new RuleBook(hotAdTerms);
    readOn(book, log);
    const places = Array.from({ length: 200 }, (_, i) =>
      book.partitionFor({ adId: 'ad-hot', eventId: `e-${i}`, clickedAt: from }),
    );
    expect(new Set(places).size).toBe(12);
    expect(routed(book, from)).toBe(splitPartitionOf(eventId, 12));
  });

  it('never shrinks, and does not depend on the order of announcements', () => {
    const rules = [growth(24), growth(12), growth(8, from + minute)];
    for (const order of [rules, rules.toReversed()]) {
      const { book } = grown(order);
      expect([from - 1, from, from + minute, from + hour].map(at => book.partitionsAt(at))).toEqual([4, 24, 24, 24]);
    }
  });

  it('takes a growth that came too late for one that never held', () => {
    const { book } = grown([growth(12, now + 6 * minute)]);
    expect([book.partitionsAt(now + hour), book.partitions]).toEqual([4, 4]);
  });

  it('does not know the number of a minute in which a growth that it has not read may have begun', () => {
    const log = begunLog();
    log.append(tickRecord, now);
    const book = new RuleBook(hotAdTerms);
    readOn(book, log);
    const soonest = Math.ceil((now - brokerSkewMs + noticeMs) / minute) * minute;
    log.append(partitionsRecord(growth(12, soonest)), now - brokerSkewMs);
    expect(book.partitionsAt(soonest)).toBeUndefined();
    expect(() => placed(book, soonest)).toThrow(/not known yet/);
    log.append(tickRecord, now + minute);
    readOn(book, log);
    expect([book.partitionsAt(soonest - 1), book.partitionsAt(soonest)]).toEqual([4, 12]);
  });

  it('is corrupt where a growth comes that would change what it has routed', () => {
    const { log, book } = grown([]);
    log.append(partitionsRecord(growth(12, now + 11 * minute)), now);
    expect(() => readOn(book, log)).toThrow(/clocks differ/);
  });

  it.each([
    ['no number', { ...partitionsRecord(growth()), value: '{"rule_id":"x","from":0}' }],
    ['half a minute', partitionsRecord(growth(12, now + 30_000))],
    ['more than a topic may have', partitionsRecord(growth(70_000))],
    ['a base that begins', { ...partitionsRecord(base()), value: partitionsRecord(growth()).value }],
    ['a growth from ever on', { ...partitionsRecord(growth()), value: partitionsRecord(base()).value }],
  ])('routes nothing any more after a record with %s', (_what, record) => {
    const { log, book } = announced();
    log.append(record, now + hour);
    expect(() => readOn(book, log)).toThrow(/offset 3/);
    expect(() => routed(book, now)).toThrow(/hot ads: topic hot-ads, offset 3/);
  });

  it('says so in a way that earlier releases pass over, as long as it is nothing new to them, and stop at a growth', () => {
    // They know the kinds rule, tick and expired, and of a tick nothing but its time.
    const kindOf = (rule: PartitionRule) => String(partitionsRecord(rule).headers?.['kind']);
    expect([kindOf(base()), kindOf(growth())]).toEqual(['tick', 'partitions']);
    expect(partitionsRecord(base()).key).not.toBe('tick');
  });
});

/** What may happen, at random. Processes are 0 to 2. */
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 4 * minute }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: hour, max: 9 * day }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('tick' as const), skew: fc.integer({ min: 0, max: 9_000 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('announce' as const),
      ad: fc.integer({ min: 0, max: 1 }),
      lead: fc.integer({ min: 4, max: 15 }),
      minutes: fc.integer({ min: 1, max: 120 }),
      skew: fc.integer({ min: 0, max: 9_000 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('base' as const),
      to: fc.constantFrom(4, 5),
      skew: fc.integer({ min: 0, max: 9_000 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('grow' as const),
      to: fc.integer({ min: 5, max: 24 }),
      lead: fc.integer({ min: 4, max: 15 }),
      skew: fc.integer({ min: 0, max: 9_000 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      process: fc.integer({ min: 0, max: 2 }),
      most: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('restart' as const), process: fc.integer({ min: 0, max: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('give up' as const), process: fc.integer({ min: 0, max: 2 }) }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('click' as const),
      process: fc.integer({ min: 0, max: 2 }),
      ad: fc.integer({ min: 0, max: 1 }),
      ahead: fc.integer({ min: -5 * minute, max: limits.maxAheadMs }),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('copy' as const),
      process: fc.integer({ min: 0, max: 2 }),
      back: fc.integer({ min: 0, max: 8 }),
    }),
  },
);

describe('any two copies of a click', () => {
  it('land in one partition, whichever processes route them whenever: through announcements, restarts, compaction', () => {
    // A day more than clicks may be late; in production far more, for the sake of those who look at raw clicks.
    const modelTerms = { ...hotAdTerms, keptMs: limits.maxAgeMs + day };
    const seen = {
      home: 0,
      split: 0,
      again: 0,
      refused: 0,
      tooLate: 0,
      givenUp: 0,
      bases: 0,
      grown: 0,
      grownTooLate: 0,
      moved: 0,
    };
    const scenario = (steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]) => {
      let at = now;
      const log = new HotAdsLog();
      // Most runs begin with the number recorded; in some, processes find none.
      if (steps.length % 4 > 0) log.append(partitionsRecord(base()), at);
      const books = [0, 1, 2].map(() => new RuleBook(modelTerms));
      const clicks: { adId: string; eventId: string; clickedAt: number }[] = [];
      const places = new Map<string, number>();
      const route = (process: number, click: { adId: string; eventId: string; clickedAt: number }) => {
        // Ingest refuses what is older.
        if (click.clickedAt < at - limits.maxAgeMs) return;
        const book = books[process]!;
        if (book.refusal(click.clickedAt)) return void seen.refused++;
        const partition = book.partitionFor(click);
        const before = places.get(click.eventId);
        const home = partitionOf(click.adId, book.partitionsAt(click.clickedAt)!);
        if (home !== partitionOf(click.adId, book.partitionsAt(0)!)) seen.moved++;
        if (before === undefined) seen[partition === home ? 'home' : 'split']++;
        else seen.again++;
        expect(partition, `${click.eventId} of ${click.adId}`).toBe(before ?? partition);
        places.set(click.eventId, partition);
      };
      for (const one of steps) {
        switch (one.kind) {
          case 'wait':
            at += one.ms;
            break;
          case 'tick':
            log.append(tickRecord, at - one.skew);
            break;
          case 'announce': {
            const from = Math.ceil(at / minute + one.lead) * minute;
            log.append(
              ruleRecord(ruleOf({ adId: `ad-${one.ad}`, from, until: from + one.minutes * minute })),
              at - one.skew,
            );
            break;
          }
          case 'base':
            log.append(partitionsRecord(base(one.to)), at - one.skew);
            break;
          case 'grow': {
            const from = Math.ceil(at / minute + one.lead) * minute;
            log.append(partitionsRecord({ ruleId: ulid(), from, partitions: one.to }), at - one.skew);
            break;
          }
          case 'read': {
            const read = readOn(books[one.process]!, log, one.most);
            seen.tooLate += read.tooLate.length;
            for (const { rule, holds } of read.partitions) {
              if (rule.from === 0) seen.bases++;
              else seen[holds ? 'grown' : 'grownTooLate']++;
            }
            break;
          }
          case 'restart':
            books[one.process] = new RuleBook(modelTerms);
            break;
          case 'compact':
            log.compact(at - day);
            break;
          case 'give up': {
            const expired = books[one.process]!.expired();
            for (const rule of expired) log.append(expiredRecord(rule), at);
            seen.givenUp += expired.length;
            break;
          }
          case 'click': {
            const click = { adId: `ad-${one.ad}`, eventId: `e-${++serial}`, clickedAt: at + one.ahead };
            clicks.push(click);
            route(one.process, click);
            break;
          }
          case 'copy': {
            const click = clicks.at(-1 - one.back);
            if (click) route(one.process, click);
          }
        }
      }
      // In the end everybody has read all, and routes everything once more.
      log.append(partitionsRecord(base()), at);
      log.append(tickRecord, at);
      for (const [process, book] of books.entries()) {
        readOn(book, log);
        for (const click of clicks) route(process, click);
      }
    };
    fc.assert(fc.property(fc.array(step, { minLength: 40, maxLength: 150 }), scenario), { numRuns: 1_000 });
    // None of these was left out by chance.
    expect(Object.entries(seen).filter(([, times]) => times === 0)).toEqual([]);
  });
});
