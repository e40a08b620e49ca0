/**
 * Feeds one file after another until all are fed or the process is stopped, and prints the sums on stdout, which show
 * that no row was left out.
 */
import { ConfigError } from '../../infra/errors.ts';
import { ownKeyOf } from '../../infra/keys/own-key.ts';
import { feedFile } from './feed.ts';
import { FeedBooks } from './feed-books.ts';
import type { FeedOptions } from './options.ts';
import { type Pace, ratePace, replayPace, unpaced } from './pace.ts';
import { createPoster, type PosterOptions } from './poster.ts';

/**
 * Returns whether each row of each file has an outcome, and none was rejected. @throws Retryable when ingest could not
 * be reached
 */
export async function feedFiles(files: readonly string[], options: FeedOptions): Promise<boolean> {
  if (files.length > 1 && (options.follow || options.statePath)) {
    throw new ConfigError('--follow and --state: must be used with exactly one file');
  }
  const stop = stopOnSignal();
  let say = (text: string): void => {
    process.stderr.write(`${text}\n`);
  };
  const post = createPoster({
    url: options.url,
    apiKey: ownKeyOf(process.env),
    giveUpAfterMs: options.giveUpAfterMs,
    stop: stop.signal,
    onRetry: seldom((reason, pauseMs) => say(`${reason}; again in ${(pauseMs / 1_000).toFixed(1)} s`)),
  });
  const onView = (view: typeof say) => {
    say = view;
  };
  const isTerminal = process.stderr.isTTY === true;
  let isWell = true;
  try {
    for (const path of files) {
      if (stop.signal.aborted) break;
      const books = new FeedBooks();
      let resumed = '';
      try {
        const pace = paceOf(options, stop.signal);
        const line = await feedFile(path, books, { options, post, pace, stop: stop.signal, isTerminal, onView });
        if (line > 0) resumed = ` (resumed after line ${line})`;
      } finally {
        // Also printed when a run fails, because its statement about rows is still true.
        process.stdout.write(`${path}${resumed}: ${books}${stop.signal.aborted ? ', stopped' : ''}\n`);
      }
      if (books.rejected > 0) isWell = false;
      if (books.fault !== undefined) {
        isWell = false;
        say(`${path}: the rows do not add up: ${books.fault}. This is a fault of the program: please report it`);
      }
    }
  } finally {
    // After a failure, other requests may still be waiting for another attempt. They must not keep the process alive.
    stop.abort();
  }
  return isWell;
}

function paceOf({ clicksPerSecond, replaySpeed }: FeedOptions, stop: AbortSignal): Pace {
  if (clicksPerSecond !== undefined) return ratePace(clicksPerSecond, stop);
  return replaySpeed === undefined ? unpaced() : replayPace(replaySpeed, stop);
}

/**
 * The first signal lets the requests in progress finish and saves the resume point. The second one ends the process.
 */
function stopOnSignal(): AbortController {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  return stop;
}

/** Requests fail together, so one line is printed for all of them. */
function seldom(report: PosterOptions['onRetry']): PosterOptions['onRetry'] {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (reason, pauseMs) => {
    if (performance.now() - lastMs < 1_000) return;
    lastMs = performance.now();
    report(reason, pauseMs);
  };
}
