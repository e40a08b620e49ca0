/**
 * When a task commits: at fixed times, and less often the more clicks come. Commits are rarer the more clicks come, and
 * while the task is far behind: a row that changes twice is written once, and rows that come in larger pieces are
 * merged fewer times. When a commit comes never decides what is counted.
 */
import type { TaskSettings } from './task-ports.ts';

export interface Pace {
  /** The last fetch did not reach the end of the log. */
  readonly isBehind: boolean;
  /** Since the last commit it was behind. */
  readonly hasCaughtUp: boolean;
  /** Counted and not committed. */
  readonly lines: number;
  /** Of the process. */
  readonly tasks: number;
}

export function commitDueAfterMs(settings: TaskSettings, { isBehind, hasCaughtUp, lines, tasks }: Pace): number {
  const { commitIntervalMs, commitMaxIntervalMs } = settings;
  if (isBehind) return commitMaxIntervalMs;
  if (hasCaughtUp) return commitIntervalMs;
  return Math.min(commitMaxIntervalMs, commitIntervalMs + lines * tasks * delayPerLineMs);
}

/** What each line counted by the process puts its commits off by: about what it takes to write, store and merge its row. */
const delayPerLineMs = 0.01;
