/**
 * How many exports run: beyond a small number the database would be busy with nothing else. One whose client hardly
 * takes anything loses its place, and at once where another client waits for it: else as many as there are places,
 * taken a byte at a time, would keep everybody else out.
 */
import { Readable } from 'node:stream';
import { keepingAsker } from '../../../infra/asking.ts';
import { createPace, type Pace, patienceSeconds, patienceWithOthersSeconds } from './export-pace.ts';
import { exportBytes, exportsCut, exportsRunning } from './metrics.ts';

export interface ExportSlots extends AsyncDisposable {
  /**
   * Undefined where all are taken. The stream is cut off, without its end, where its client is too slow, and `onCut` told.
   * @throws what `begin` throws
   */
  open(begin: Begin, onCut: (why: string) => void): Promise<Readable | undefined>;
}

type Begin = () => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>;

export interface ExportSlotOptions {
  readonly limit: number;
  readonly minBytesPerSecond: number;
  /** Longest one may take; left out: who reads sees to it. */
  readonly maxMs?: number;
  /** What is read ahead. */
  readonly bufferBytes?: number;
  /** A second, but in tests. */
  readonly tickMs?: number;
}

interface Running {
  readonly stream: Readable;
  readonly pace: Pace;
  readonly onCut: (why: string) => void;
  /** Bytes that came in. */
  bytes: number;
}

export function createExportSlots(options: ExportSlotOptions): ExportSlots {
  const { limit, minBytesPerSecond, maxMs, bufferBytes = 1 << 20, tickMs = 1_000 } = options;
  const running = new Set<Running>();
  let opening = 0;
  let timer: NodeJS.Timeout | undefined;

  const leave = (one: Running) => {
    if (!running.delete(one)) return;
    exportsRunning.dec();
    if (running.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  const cut = (one: Running, why: keyof typeof reasons | 'time') => {
    exportsCut.inc({ why });
    one.onCut(why === 'time' ? `not taken within ${maxMs} ms` : reasons[why]);
    // The place is free at once; the read ends in the database in its own time.
    leave(one);
    one.stream.destroy();
  };
  const tick = () => {
    for (const one of [...running]) {
      one.pace.tick(one.bytes - one.stream.readableLength, one.stream.readableLength > 0);
      if (one.pace.isSlowOver(patienceSeconds)) cut(one, 'slow');
    }
  };
  const makeRoom = () => {
    for (const one of running) {
      if (!one.pace.isSlowOver(patienceWithOthersSeconds)) continue;
      cut(one, 'room');
      return true;
    }
    return false;
  };

  return {
    async open(begin, onCut) {
      if (running.size + opening >= limit && !makeRoom()) return undefined;
      opening++;
      try {
        const pieces = await begin();
        async function* counted(): AsyncGenerator<Uint8Array> {
          for await (const piece of pieces) {
            exportBytes.inc(piece.length);
            // Small ones, so that it shows how much of them is taken.
            for (let at = 0; at < piece.length; at += sliceBytes) {
              const slice = piece.subarray(at, at + sliceBytes);
              one.bytes += slice.length;
              yield slice;
            }
          }
        }
        const stream = Readable.from(keepingAsker(counted()), { objectMode: false, highWaterMark: bufferBytes });
        const one: Running = { stream, pace: createPace(minBytesPerSecond), onCut, bytes: 0 };
        const deadline = maxMs === undefined ? undefined : setTimeout(() => cut(one, 'time'), maxMs);
        // However it ends: done, failed, or nobody takes the rest.
        stream.once('close', () => {
          clearTimeout(deadline);
          leave(one);
        });
        running.add(one);
        exportsRunning.inc();
        timer ??= setInterval(tick, tickMs);
        return stream;
      } finally {
        opening--;
      }
    },

    async [Symbol.asyncDispose]() {
      const closed = [...running].map(({ stream }) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        stream.once('close', resolve);
        stream.destroy();
        return stream.closed ? undefined : promise;
      });
      await Promise.all(closed);
    },
  };
}

const reasons = {
  slow: 'its client takes less than EXPORT_MIN_BYTES_PER_SECOND',
  room: 'its client takes less than EXPORT_MIN_BYTES_PER_SECOND, and another waits for its place',
} as const;

const sliceBytes = 65_536;
