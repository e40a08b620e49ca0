/**
 * CONTRACT: runs a recount (recount.ts) in a thread of its own, for the process that reads the raw clicks. Pages are
 * transferred, not copied. Requests are answered in order. The caller keeps only a few of them waiting, which bounds
 * memory.
 */
import { Worker } from 'node:worker_threads';
import { Corrupt } from '../../infra/errors.ts';
import type { CellChange } from '../restatement.ts';
import type { RecountSettings, RulesFrom } from './recount.ts';

export type { RulesFrom } from './recount.ts';

export interface RecountThread extends AsyncDisposable {
  /** Says by which rules the lines that are fed from now on are judged (recount.ts). */
  judgeBy(rules: readonly RulesFrom[]): Promise<void>;
  /** Processes canonical lines in the order of their minutes. Returns the minute of the last line, in epoch ms. */
  feed(page: Uint8Array): Promise<number>;
  /**
   * Compares the minutes before `until` (epoch ms) with all rows that were stated for them, as NDJSON of `StatedRow`.
   * `lines` is the number of processed lines in exactly those minutes.
   */
  compare(
    until: number,
    stated: readonly Uint8Array[],
  ): Promise<{ readonly changes: readonly CellChange[]; readonly lines: number }>;
}

export type Request =
  | { readonly kind: 'judge'; readonly rules: readonly RulesFrom[] }
  | { readonly kind: 'feed'; readonly page: Uint8Array }
  | { readonly kind: 'compare'; readonly until: number; readonly stated: readonly Uint8Array[] };

export interface Answer {
  readonly minute?: number;
  readonly lines?: number;
  readonly changes?: readonly CellChange[];
  readonly error?: string;
}

export function openRecountThread(settings: RecountSettings): RecountThread {
  const { partitions, partitionRules = [], idsPerAdFrom = [], hashSeed } = settings;
  const worker = new Worker(new URL('./recount-worker.ts', import.meta.url), {
    workerData: { partitions, partitionRules, idsPerAdFrom, hashSeed } satisfies RecountSettings,
  });
  const waiting: PromiseWithResolvers<Answer>[] = [];
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    for (const request of waiting.splice(0)) request.reject(error);
  };
  worker.on('message', (answer: Answer) => {
    const request = waiting.shift();
    if (answer.error === undefined) request?.resolve(answer);
    else request?.reject(new Corrupt(answer.error));
  });
  worker.on('error', error => end(error instanceof Error ? error : new Error(String(error))));
  worker.on('exit', () => end(new Error('the recount was ended')));

  const ask = (request: Request, handedOver: readonly Uint8Array[]): Promise<Answer> => {
    if (ended) return Promise.reject(ended);
    const pending = Promise.withResolvers<Answer>();
    waiting.push(pending);
    worker.postMessage(request, transferable(handedOver));
    return pending.promise;
  };
  return {
    async judgeBy(rules) {
      await ask({ kind: 'judge', rules }, []);
    },
    async feed(page) {
      return (await ask({ kind: 'feed', page }, [page])).minute ?? Number.NEGATIVE_INFINITY;
    },
    async compare(until, stated) {
      const { changes = [], lines = 0 } = await ask({ kind: 'compare', until, stated }, stated);
      return { changes, lines };
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

/** Returns the memory of pages that own theirs. Others are copied. */
function transferable(pages: readonly Uint8Array[]): ArrayBuffer[] {
  return pages.flatMap(({ buffer, byteLength }) =>
    buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && byteLength > 0 ? [buffer] : [],
  );
}
