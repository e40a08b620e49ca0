/**
 * What the clients know, in a file that is on the disk before anything is sent: every click they mean to post, and what
 * became of it. A click is acked if one of its posts was answered with 202 and did not reject it, refused if every
 * answer rejected it, unknown otherwise: it may be in the log, or not.
 */
import { closeSync, fdatasyncSync, openSync, readFileSync, writeSync } from 'node:fs';

export interface LedgerClick {
  readonly event_id: string;
  readonly ad_id: string;
  /** Epoch ms. */
  readonly clicked_at: number;
  readonly country: string;
}

export type Fate = 'acked' | 'refused' | 'unknown';

export interface Ledger extends Disposable {
  /** Returns the number of the post. */
  planned(clicks: readonly LedgerClick[]): number;
  answered(post: number, accepted: boolean, rejected: readonly number[]): void;
}

type Entry =
  | { readonly post: number; readonly clicks: readonly LedgerClick[] }
  | { readonly post: number; readonly accepted: boolean; readonly rejected: readonly number[] };

export function openLedger(path: string): Ledger {
  const file = openSync(path, 'a');
  let posts = 0;
  const write = (entry: Entry) => {
    writeSync(file, `${JSON.stringify(entry)}\n`);
    fdatasyncSync(file);
  };
  return {
    planned(clicks) {
      write({ post: ++posts, clicks });
      return posts;
    },
    answered: (post, accepted, rejected) => write({ post, accepted, rejected }),
    [Symbol.dispose]: () => closeSync(file),
  };
}

/** Every click that was ever meant to be posted, by event_id. */
export function readLedger(path: string): Map<string, { readonly click: LedgerClick; readonly fate: Fate }> {
  const clicks = new Map<string, { click: LedgerClick; fate: Fate }>();
  const posts = new Map<number, readonly LedgerClick[]>();
  const rejections = new Map<string, number>();
  const sent = new Map<string, number>();
  for (const line of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
    const entry = JSON.parse(line) as Entry;
    if ('clicks' in entry) {
      posts.set(entry.post, entry.clicks);
      for (const click of entry.clicks) {
        sent.set(click.event_id, (sent.get(click.event_id) ?? 0) + 1);
        if (!clicks.has(click.event_id)) clicks.set(click.event_id, { click, fate: 'unknown' });
      }
      continue;
    }
    for (const [index, { event_id }] of (posts.get(entry.post) ?? []).entries()) {
      if (entry.rejected.includes(index)) rejections.set(event_id, (rejections.get(event_id) ?? 0) + 1);
      else if (entry.accepted) clicks.get(event_id)!.fate = 'acked';
    }
  }
  for (const [id, rejected] of rejections) if (rejected === sent.get(id)) clicks.get(id)!.fate = 'refused';
  return clicks;
}
