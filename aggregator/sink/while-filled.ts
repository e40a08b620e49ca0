/**
 * Runs what fills a node for as long as the node has the tables that it began with.
 *
 * The tables are watched from before it is opened. Opening joins several groups, and may take as long as the brokers
 * are away. A part that has joined already inserts, so nobody may wait for the others before looking.
 */
import { pause } from '../../infra/pause.ts';
import { aborted } from '../../infra/process.ts';

export interface FilledNode<T extends AsyncDisposable> {
  /** Must end soon after `signal` fires, with an error if it is not open yet. */
  open(signal: AbortSignal): Promise<T>;
  /** Is called with what is open, and with undefined before that is closed. */
  onRunning(opened: T | undefined): void;
  /** Returns whether the node has the same tables. Never rejects. */
  isStillFilled(): Promise<boolean>;
  readonly lookEveryMs: number;
}

/** Resolves once the node was emptied, or `signal` has fired, and everything is closed. @throws any other error of `open` */
export async function whileFilled<T extends AsyncDisposable>(node: FilledNode<T>, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const watch = async () => {
    while (!either.aborted) {
      await pause(node.lookEveryMs, either);
      if (!either.aborted && !(await node.isStillFilled())) over.abort();
    }
  };
  const watching = watch();
  try {
    await using opened = await node.open(either);
    node.onRunning(opened);
    await aborted(either);
    node.onRunning(undefined);
  } catch (error) {
    if (!either.aborted) throw error;
  } finally {
    over.abort();
    await watching;
  }
}
