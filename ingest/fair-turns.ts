/**
 * Runs tasks one at a time. The tasks of one owner run in the order in which they came, and the owners take turns. So
 * an owner with many waiting tasks delays another owner by one of them, not by all. A task that fails does not stop the
 * ones behind it.
 */
export type FairTurns = <T>(owner: object, task: () => Promise<T>) => Promise<T>;

export function fairTurns(): FairTurns {
  /** Owners that have waiting tasks, in the order of their turns. */
  const waiting = new Map<object, (() => Promise<void>)[]>();
  let isRunning = false;

  const run = async () => {
    isRunning = true;
    for (;;) {
      const [next] = waiting;
      if (next === undefined) break;
      const [owner, tasks] = next;
      const task = tasks.shift();
      // The owner moves behind all others, or is removed.
      waiting.delete(owner);
      if (tasks.length > 0) waiting.set(owner, tasks);
      await task?.();
    }
    isRunning = false;
  };

  return (owner, task) =>
    new Promise((resolve, reject) => {
      const turn = () => task().then(resolve, reject);
      const tasks = waiting.get(owner);
      if (tasks) tasks.push(turn);
      else waiting.set(owner, [turn]);
      if (!isRunning) void run();
    });
}
