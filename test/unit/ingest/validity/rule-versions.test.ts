/** Versions of the rules of invalid traffic, as a rule book reads them from topic `hot-ads`. */
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import { Corrupt, Retryable } from '../../../../infra/errors.ts';
import { HotAdConfig, hotAdTermsOf, tickRecord, validityRulesRecord } from '../../../../ingest/hot-ads/rule.ts';
import { RuleBook } from '../../../../ingest/hot-ads/rule-book.ts';
import { type AnnouncedRules, mostVersions } from '../../../../ingest/validity/rule-set.ts';
import { noRules, recommendedRules } from '../../../../ingest/validity/rules.ts';
import { HotAdsLog, readOn } from '../../../support/hot-ads-log.ts';

const minute = 60_000;
const hour = 60 * minute;
const now = Date.parse('2026-03-01T12:00:00Z');
const terms = hotAdTermsOf(loadConfig(HotAdConfig, {}));
const soonest = Math.ceil((now + terms.noticeMs) / minute) * minute;

let serial = 0;
const rulesOf = (fields: Partial<AnnouncedRules> = {}): AnnouncedRules => ({
  ruleId: `01K${String(++serial).padStart(23, '0')}`,
  from: soonest,
  rules: recommendedRules,
  note: 'to begin with',
  by: 'without a key',
  ...fields,
});

/** What a book knows that has read these, appended at `now`, and a tick at `until`. */
function read(announced: readonly AnnouncedRules[], until = now + hour) {
  const log = new HotAdsLog();
  for (const one of announced) log.append(validityRulesRecord(one, terms), now);
  log.append(tickRecord(terms), until);
  const book = new RuleBook(terms);
  const news = readOn(book, log);
  return { log, book, news, versionsAt: (...minutes: number[]) => minutes.map(at => book.rulesAt(at).version) };
}

describe('versions of the rules', () => {
  it('hold from their minute on, and before the first of them every click is valid', () => {
    const rules = { ...recommendedRules, user_clicks_per_minute: 3 };
    const { book, versionsAt } = read([rulesOf(), rulesOf({ from: soonest + 2 * minute, rules })]);
    expect(versionsAt(soonest - minute, soonest, soonest + minute, soonest + 2 * minute)).toEqual([0, 1, 1, 2]);
    expect(book.rulesAt(now)).toEqual(noRules);
    expect(book.rulesAt(soonest + 2 * minute).rules).toEqual(rules);
  });

  it('have the numbers of their order in the log, whatever their minutes and ids are', () => {
    const later = rulesOf({ from: soonest + minute });
    const first = rulesOf({ ruleId: `00${'Z'.repeat(24)}`, from: soonest + 5 * minute });
    const { book } = read([first, later, rulesOf({ ruleId: '0'.repeat(26) })]);
    expect(book.versions.map(({ version, ruleId }) => [version, ruleId])).toEqual([
      [1, first.ruleId],
      [2, later.ruleId],
      [3, '0'.repeat(26)],
    ]);
  });

  it('are the same for a book that reads the log in pieces, twice, or after compaction', () => {
    const announced = [rulesOf(), rulesOf({ from: null }), rulesOf({ from: soonest + minute })];
    const { log, book } = read(announced);
    const inPieces = new RuleBook(terms);
    for (let i = 0; i < 10; i++) readOn(inPieces, log, 1);
    expect(inPieces.versions).toEqual(book.versions);
    book.read(log.fetch(0));
    expect(book.versions).toHaveLength(3);
    log.compact(now + hour);
    const anew = new RuleBook(terms);
    readOn(anew, log);
    expect(anew.versions).toEqual(inPieces.versions);
  });

  it('are counted once where a writer has sent one twice', () => {
    const twice = rulesOf();
    const { book, news } = read([twice, twice, rulesOf({ from: soonest + minute })]);
    expect(book.versions.map(({ version }) => version)).toEqual([1, 2]);
    expect(news.versions).toHaveLength(2);
  });

  it('are replaced by a later one for the same minute, and by none that begins earlier', () => {
    const { versionsAt } = read([
      rulesOf({ from: soonest + 2 * minute }),
      rulesOf({ from: soonest + 2 * minute }),
      rulesOf({ from: soonest }),
    ]);
    expect(versionsAt(soonest, soonest + minute, soonest + 2 * minute, soonest + 9 * minute)).toEqual([3, 3, 2, 2]);
  });

  it('never hold if they were in the log later than their notice, for nobody and at no time', () => {
    const late = rulesOf({ from: soonest - minute });
    const { book, versionsAt } = read([late, rulesOf({ from: soonest + minute })]);
    expect(versionsAt(soonest - minute, soonest, soonest + minute)).toEqual([0, 0, 2]);
    expect(book.versions.map(({ holds }) => holds)).toEqual([false, true]);
    expect(versionsAt(soonest + 30 * minute)).toEqual([2]);
  });

  it('hold in no minute as drafts, and have a number like any other', () => {
    const { book, versionsAt } = read([rulesOf({ from: null }), rulesOf()]);
    expect(versionsAt(0, soonest - minute, soonest)).toEqual([0, 0, 2]);
    expect(book.versions[0]).toMatchObject({ version: 1, from: null, holds: false, announcedAt: now });
  });

  it('are not known for minutes that a version may begin in which was not read yet', () => {
    const log = new HotAdsLog();
    const book = new RuleBook(terms);
    expect(() => book.rulesAt(now)).toThrow(Retryable);
    log.append(tickRecord(terms), now);
    readOn(book, log);
    const knownUntil = now + terms.noticeMs - terms.brokerSkewMs;
    expect(book.rulesKnownUntil).toBe(knownUntil);
    expect(book.rulesAt(knownUntil - 1).version).toBe(0);
    expect(() => book.rulesAt(knownUntil)).toThrow(/not known yet/);
    // The broker that has this one is as far behind as it may be.
    log.append(validityRulesRecord(rulesOf(), terms), now - terms.brokerSkewMs);
    log.append(tickRecord(terms), now + 2 * minute);
    readOn(book, log);
    expect(book.rulesAt(soonest).version).toBe(1);
  });

  it('stay known as far as they were when a record comes that cannot be read', () => {
    const { log, book } = read([rulesOf()]);
    const { rulesKnownUntil } = book;
    log.append({ ...tickRecord(terms), headers: { kind: 'of a newer release' } }, now + 2 * hour);
    expect(() => readOn(book, log)).toThrow(Corrupt);
    expect(book.rulesKnownUntil).toBe(rulesKnownUntil);
    expect(book.rulesAt(soonest).version).toBe(1);
    expect(() => book.rulesAt(rulesKnownUntil)).toThrow(/of a newer release/);
  });

  it('are corrupt where one begins in a minute whose rules were known', () => {
    const { log, book } = read([]);
    log.append(validityRulesRecord(rulesOf(), terms), now);
    expect(() => readOn(book, log)).toThrow(/clocks differ/);
  });

  it('are corrupt where there are more than anybody announces', () => {
    expect(() => read(Array.from({ length: mostVersions + 1 }, () => rulesOf({ from: null })))).toThrow(/too many/);
  });

  it.each<[string, Record<string, unknown>]>([
    ['a rule that is not known', { rules: { ...recommendedRules, moon_phase: true } }],
    ['a rule that is missing', { rules: { denied: true } }],
    ['steps that do not divide a minute', { rules: { ...recommendedRules, double_click_seconds: 7 } }],
    ['half a minute', { from: soonest + 30_000 }],
    ['a cap below 0', { rules: { ...recommendedRules, ad_clicks_per_minute: -1 } }],
  ])('are corrupt with %s', (_, wrong) => {
    expect(() => read([rulesOf(wrong as Partial<AnnouncedRules>)])).toThrow(/must be/);
  });
});
