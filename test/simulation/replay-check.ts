/** A replay of all that is in raw, at the end of a run: it takes in what came too late, replaces, and never adds. */
import { Recount } from '../../aggregator/replay/recount.ts';
import { type CellChange, type StatedRow, versionOf } from '../../aggregator/restatement.ts';
import type { Click } from '../../ingest/click.ts';
import { factsIn } from '../../ingest/validity/facts.ts';
import type { RulesAt } from '../../ingest/validity/rules.ts';
import { invalidOf } from '../support/judged-clicks.ts';
import type { FakeStore, RawRow } from './fake-store.ts';

/** @returns what is wrong, or undefined */
export function replayProblem(store: FakeStore, partitions: number, at: number, rulesAt: RulesAt): string | undefined {
  const distinct = new Map<string, Set<string>>();
  for (const { ad_id, event_id, clicked_at } of store.rawRows()) {
    const key = `${ad_id} ${Math.floor(clicked_at / 60_000) * 60}`;
    distinct.set(key, (distinct.get(key) ?? new Set()).add(event_id));
  }
  for (const change of replay(store, partitions, rulesAt)) {
    const unfound = unfoundProblem(store, change);
    if (unfound !== undefined) return unfound;
    apply(store, change, at);
  }
  const counts = new Map<string, number>();
  for (const { ad_id, minute, clicks } of store.adMinutes('ad_minute')) {
    const key = `${ad_id} ${minute}`;
    counts.set(key, (counts.get(key) ?? 0) + clicks);
  }
  for (const key of new Set([...distinct.keys(), ...counts.keys()])) {
    const [count, expected] = [counts.get(key) ?? 0, distinct.get(key)?.size ?? 0];
    if (count !== expected) return `ad and minute ${key}: ${count} after a replay, ${expected} distinct in raw`;
  }
  const invalid = invalidProblem(store, rulesAt);
  if (invalid !== undefined) return invalid;
  const again = replay(store, partitions, rulesAt);
  return again.length === 0 ? undefined : `a second replay changes ${JSON.stringify(again[0])}`;
}

/**
 * What a replay finds invalid in clicks that the stream has counted too, the job runner must find by itself
 * (query-api/store/split-clicks.ts): it looks for cells with valid clicks in several partitions, and says of those that
 * the clicks of all partitions but the one with the most are the most that can be invalid.
 */
function unfoundProblem(store: FakeStore, change: CellChange): string | undefined {
  const { minute, ad_id, country, before, after, before_invalid, after_invalid, stated, stated_judged } = change;
  // Clicks that came too late are found by what is in quarantine.
  if (before !== after || after_invalid === before_invalid) return undefined;
  const valid = stated.map(({ clicks }, i) => clicks - (stated_judged[i]?.invalid ?? 0));
  const most = valid.reduce((sum, n) => sum + n, 0) - Math.max(0, ...valid);
  const more = after_invalid - before_invalid;
  if (more < 0 && hasTooLate(store, ad_id, minute)) return undefined;
  return more > 0 && more <= most
    ? undefined
    : `${minute}|${ad_id}|${country}: ${more} more are invalid after a replay, and ${most} were waited for`;
}

/** A copy that came too late may be better than those that were counted. */
function hasTooLate(store: FakeStore, adId: string, minute: number): boolean {
  return store.quarantine().some(({ reason, raw }) => {
    if (reason !== 'too_late') return false;
    const { ad_id, clicked_at } = JSON.parse(raw) as RawRow;
    return ad_id === adId && Math.floor(clicked_at / 60_000) * 60 === minute;
  });
}

/** A recount has all clicks of a cell together, also of an ad that was split. */
function invalidProblem(store: FakeStore, rulesAt: RulesAt): string | undefined {
  const found = new Map<string, Record<string, number>>();
  for (const { minute, ad_id, country, invalid_by } of store.adMinutes('ad_minute')) {
    const key = `${minute}|${ad_id}|${country}`;
    const sums = found.get(key) ?? {};
    found.set(key, sums);
    for (const [reason, n] of Object.entries(invalid_by)) sums[reason] = (sums[reason] ?? 0) + n;
  }
  for (const [key, expected] of invalidOf(store.rawRows().map(clickOf), minute => rulesAt(minute).rules)) {
    const [one, other] = [found.get(key) ?? {}, expected].map(by => JSON.stringify(Object.entries(by).sort()));
    if (one !== other) return `${key}: ${one} are invalid after a replay, ${other} by what is in raw`;
  }
  return undefined;
}

function clickOf(row: RawRow): Click {
  const { user_id: userId, ip, user_agent: userAgent, facts = '' } = row;
  return {
    ...{ clickId: row.click_id, eventId: row.event_id, adId: row.ad_id, clickedAt: row.clicked_at, receivedAt: 0 },
    ...{ country: row.country ?? 'ZZ', userId, ip, userAgent, facts: factsIn(facts) },
  };
}

function replay(store: FakeStore, partitions: number, rulesAt: RulesAt): CellChange[] {
  const recount = new Recount({ partitions, hashSeed: 1 });
  const minutes = new Set(store.rawRows().map(({ clicked_at }) => clicked_at - (clicked_at % 60_000)));
  recount.judgeBy([...minutes].sort((a, b) => a - b).map(from => ({ from, set: rulesAt(from) })));
  const inOrder = store.rawRows().toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
  recount.feed(Buffer.from(inOrder.map(row => `${JSON.stringify(row)}\n`).join('')));
  const stated: StatedRow[] = store.adMinutes('ad_minute').map(({ version, ...row }) => {
    return { ...row, revision: Math.floor(version / 2 ** 48) };
  });
  return recount.compare(Number.POSITIVE_INFINITY, stated);
}

function apply(store: FakeStore, change: CellChange, at: number): void {
  const { minute, ad_id, country, revision, rows, rows_judged } = change;
  const version = versionOf(revision, at);
  for (const [i, counts] of rows.entries()) {
    const row = { minute, ad_id, country, version, ...counts, ...rows_judged[i] };
    store.insert('ad_minute', JSON.stringify(row));
  }
}

/** As the table sorts. */
function orderOf({ clicked_at, ad_id, click_id }: RawRow): string {
  return `${Math.floor(clicked_at / 60_000)} ${ad_id} ${click_id}`;
}
