/** Feeds files to something that counts as ingest does: distinct pairs of ad and event id. */
import { join } from 'node:path';
import { type FeedDeps, feedFile } from '../../ingest/feed/feed.ts';
import { FeedBooks } from '../../ingest/feed/feed-books.ts';
import type { MappingOptions } from '../../ingest/feed/mapping.ts';
import type { FeedOptions } from '../../ingest/feed/options.ts';
import { unpaced } from '../../ingest/feed/pace.ts';
import type { Post } from '../../ingest/feed/poster.ts';

export type FedClick = Readonly<Record<string, unknown>>;

/** An ad `bad` is refused. */
export function countingIngest() {
  const clicks = new Map<string, FedClick>();
  let posts = 0;
  const post: Post = lines => {
    posts++;
    const posted: FedClick[] = lines.map(line => JSON.parse(line));
    const rejected = posted.flatMap(({ ad_id }, index) =>
      ad_id === undefined || ad_id === 'bad' ? [{ index, code: 'invalid_field', message: 'ad_id: is refused' }] : [],
    );
    for (const click of posted)
      if (click['ad_id'] !== undefined && click['ad_id'] !== 'bad')
        clicks.set(JSON.stringify([click['ad_id'], click['event_id']]), click);
    return Promise.resolve({ accepted: posted.length - rejected.length, rejected });
  };
  const all = () => [...clicks.values()];
  return { post, clicks: all, ads: () => all().map(({ ad_id }) => ad_id), posts: () => posts };
}

export interface FeedTest {
  readonly directory: string;
  readonly file: string;
  readonly post: Post;
  readonly options?: Partial<FeedOptions>;
  readonly mapping?: Partial<MappingOptions>;
  readonly csv?: Partial<FeedOptions['csv']>;
  readonly deps?: Partial<FeedDeps>;
}

/** What was fed, and all that was said. */
export interface Fed {
  readonly sum: string;
  readonly books: FeedBooks;
  readonly resumedAt: number;
}

export async function feedTest({ directory, file, post, options, mapping, csv, deps }: FeedTest): Promise<Fed> {
  const books = new FeedBooks();
  const resumedAt = await feedFile(file, books, {
    options: {
      url: 'http://ingest',
      format: undefined,
      mapping: {
        ...{ columnOf: {}, adId: undefined, methods: ['GET', 'POST'], statuses: [[200, 399]], path: undefined },
        ...mapping,
      },
      csv: { delimiter: undefined, isExport: false, multiline: false, ...csv },
      lastLine: false,
      follow: false,
      rotatedQuietMs: 600_000,
      clicksPerSecond: undefined,
      replaySpeed: undefined,
      batchItems: 10,
      concurrency: 3,
      statePath: join(directory, 'state.json'),
      restart: false,
      rejectsPath: undefined,
      giveUpAfterMs: 1_000,
      ...options,
    },
    post,
    pace: unpaced(),
    stop: new AbortController().signal,
    isTerminal: false,
    onView: () => undefined,
    ...deps,
  });
  return { sum: `${books}`, books, resumedAt };
}
