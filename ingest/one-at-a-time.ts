/** Runs tasks one after another, first come first served. A task that fails stops none behind it. */
export type OneAtATime = <T>(task: () => Promise<T>) => Promise<T>;

export function oneAtATime(): OneAtATime {
  let last: Promise<unknown> = Promise.resolve();
  return task => {
    const mine = last.then(task, task);
    last = mine;
    return mine;
  };
}
