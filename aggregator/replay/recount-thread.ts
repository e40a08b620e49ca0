/**
 * CONTRACT: runs a recount (recount.ts) in a thread of its own, for the process that reads the raw clicks. Pages are
 * transferred, not copied. Requests are answered in order. The caller keeps only a few of them waiting, which bounds
 * memory.
 *
 * A thread whose recount has ended is kept for the next one, for half a minute: to start one takes 0.2 s of CPU time,
 * which is more than most recounts take. It keeps nothing of a recount.
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
  /** The recount begins. */
  | { readonly kind: 'begin'; readonly settings: RecountSettings }
  | { readonly kind: 'judge'; readonly rules: readonly RulesFrom[] }
  | { readonly kind: 'feed'; readonly page: Uint8Array }
  | { readonly kind: 'compare'; readonly until: number; readonly stated: readonly Uint8Array[] }
  /** The recount has ended. This one is not answered. */
  | { readonly kind: 'forget' };

export interface Answer {
  readonly minute?: number;
  readonly lines?: number;
  readonly changes?: readonly CellChange[];
  readonly error?: string;
}

export function openRecountThread(settings: RecountSettings): RecountThread {
  const { partitions, partitionRules = [], idsPerAdFrom = [], hashSeed } = settings;
  const worker = takeSpare() ?? new Worker(new URL('./recount-worker.ts', import.meta.url));
  const waiting: PromiseWithResolvers<Answer>[] = [];
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    for (const request of waiting.splice(0)) request.reject(error);
  };
  const onMessage = (answer: Answer) => {
    const request = waiting.shift();
    if (answer.error === undefined) request?.resolve(answer);
    else request?.reject(new Corrupt(answer.error));
  };
  const onError = (error: unknown) => end(error instanceof Error ? error : new Error(String(error)));
  const onExit = () => end(new Error('the recount was ended'));
  worker.on('message', onMessage).on('error', onError).on('exit', onExit);

  const ask = (request: Request, handedOver: readonly Uint8Array[]): Promise<Answer> => {
    if (ended) return Promise.reject(ended);
    const pending = Promise.withResolvers<Answer>();
    waiting.push(pending);
    worker.postMessage(request, transferable(handedOver));
    return pending.promise;
  };
  ask({ kind: 'begin', settings: { partitions, partitionRules, idsPerAdFrom, hashSeed } }, []).catch(end);
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
      // One that still works, for a recount that was given up, is not waited for.
      if (ended !== undefined || waiting.length > 0 || spare !== undefined) {
        await worker.terminate();
        return;
      }
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      keepSpare(worker);
    },
  };
}

const spareMs = 30_000;
let spare: { readonly worker: Worker; take(): void } | undefined;

function takeSpare(): Worker | undefined {
  const taken = spare;
  taken?.take();
  taken?.worker.ref();
  return taken?.worker;
}

function keepSpare(worker: Worker): void {
  worker.postMessage({ kind: 'forget' } satisfies Request);
  const timer = setTimeout(() => {
    take();
    void worker.terminate();
  }, spareMs);
  const take = () => {
    clearTimeout(timer);
    worker.off('error', take).off('exit', take);
    spare = undefined;
  };
  // It keeps no process from ending. If it fails by itself, there is none.
  timer.unref();
  worker.unref();
  worker.on('error', take).on('exit', take);
  spare = { worker, take };
}

/** Returns the memory of pages that own theirs. Others are copied. */
function transferable(pages: readonly Uint8Array[]): ArrayBuffer[] {
  return pages.flatMap(({ buffer, byteLength }) =>
    buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && byteLength > 0 ? [buffer] : [],
  );
}
