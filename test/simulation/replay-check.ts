/** A replay of all that is in raw, at the end of a run: it takes in what came too late, replaces, and never adds. */
import { Recount } from '../../aggregator/replay/recount.ts';
import { type CellChange, type StatedRow, versionOf } from '../../aggregator/restatement.ts';
import type { FakeStore, RawRow } from './fake-store.ts';

/** @returns what is wrong, or undefined */
export function replayProblem(store: FakeStore, partitions: number, at: number): string | undefined {
  const distinct = new Map<string, Set<string>>();
  for (const { ad_id, event_id, clicked_at } of store.rawRows()) {
    const key = `${ad_id} ${Math.floor(clicked_at / 60_000) * 60}`;
    distinct.set(key, (distinct.get(key) ?? new Set()).add(event_id));
  }
  for (const change of replay(store, partitions)) apply(store, change, at);
  const counts = new Map<string, number>();
  for (const { ad_id, minute, clicks } of store.adMinutes('ad_minute')) {
    const key = `${ad_id} ${minute}`;
    counts.set(key, (counts.get(key) ?? 0) + clicks);
  }
  for (const key of new Set([...distinct.keys(), ...counts.keys()])) {
    const [count, expected] = [counts.get(key) ?? 0, distinct.get(key)?.size ?? 0];
    if (count !== expected) return `ad and minute ${key}: ${count} after a replay, ${expected} distinct in raw`;
  }
  const again = replay(store, partitions);
  return again.length === 0 ? undefined : `a second replay changes ${JSON.stringify(again[0])}`;
}

function replay(store: FakeStore, partitions: number): CellChange[] {
  const recount = new Recount({ partitions, hashSeed: 1 });
  const inOrder = store.rawRows().toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
  recount.feed(Buffer.from(inOrder.map(row => `${JSON.stringify(row)}\n`).join('')));
  const stated: StatedRow[] = store.adMinutes('ad_minute').map(({ version, ...row }) => {
    return { ...row, revision: Math.floor(version / 2 ** 48) };
  });
  return recount.compare(Number.POSITIVE_INFINITY, stated);
}

function apply(store: FakeStore, { minute, ad_id, country, revision, rows }: CellChange, at: number): void {
  const version = versionOf(revision, at);
  for (const counts of rows) store.insert('ad_minute', JSON.stringify({ minute, ad_id, country, version, ...counts }));
}

/** As the table sorts. */
function orderOf({ clicked_at, ad_id, click_id }: RawRow): string {
  return `${Math.floor(clicked_at / 60_000)} ${ad_id} ${click_id}`;
}
