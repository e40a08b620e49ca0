/**
 * Says which states a task may have, and which changes between them are allowed. A change that is not in the table is an
 * error of the program, and it is thrown instead of made: a task that counts without a fence, or counts on after it was
 * closed, would write counts that nobody could correct.
 */

export type TaskState =
  /** It fences, fetches and chooses where to begin, and tries again after a pause when one of these fails. */
  | 'starting'
  /** It reads from the checkpoint to the committed offset, and writes nothing. */
  | 'restoring'
  /** It counts and commits. */
  | 'running'
  /** It has met a contradiction that only a person can resolve. It reads and writes nothing. */
  | 'halted'
  /** The partition belongs to another task, or the process stops. Nothing leads out of this state. */
  | 'closed';

export const allowedTransitions: Readonly<Record<TaskState, readonly TaskState[]>> = {
  starting: ['restoring', 'halted', 'closed'],
  restoring: ['running', 'starting', 'halted', 'closed'],
  running: ['starting', 'halted', 'closed'],
  halted: ['closed'],
  closed: [],
};

/** Returns `to`, or throws where the table does not allow the change. */
export function transition(from: TaskState, to: TaskState): TaskState {
  if (!allowedTransitions[from].includes(to)) throw new Error(`A task cannot change from ${from} to ${to}.`);
  return to;
}
