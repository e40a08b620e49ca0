/**
 * Decides when a task commits. Commits are rarer when more clicks arrive and while the task is far behind: a row that
 * changes twice is then written once, and rows in larger pieces are merged fewer times. The time of a commit never
 * decides what is counted.
 */
import type { TaskSettings } from './task-ports.ts';

export interface Pace {
  /** Whether the last fetch did not reach the end of the log. */
  readonly isBehind: boolean;
  /** Whether the task has been behind at any time since the last commit. */
  readonly hasCaughtUp: boolean;
  /** Lines that are counted and not yet committed. */
  readonly lines: number;
  /** The number of tasks in this process. */
  readonly tasks: number;
}

export function commitDueAfterMs(settings: TaskSettings, { isBehind, hasCaughtUp, lines, tasks }: Pace): number {
  const { commitIntervalMs, commitMaxIntervalMs } = settings;
  if (isBehind) return commitMaxIntervalMs;
  if (hasCaughtUp) return commitIntervalMs;
  return Math.min(commitMaxIntervalMs, commitIntervalMs + lines * tasks * delayPerLineMs);
}

/**
 * Each line that the process has counted delays its commits by this. It is about the time to write, store and merge one
 * row.
 */
const delayPerLineMs = 0.01;
