/**
 * Limits how many exports run at the same time, because more than a few would keep the database busy with nothing else.
 * An export whose client reads next to nothing loses its place, and loses it sooner when another client waits for one.
 * Otherwise a few clients that read one byte at a time could keep all others out.
 */
import { Readable } from 'node:stream';
import { keepingAsker } from '../../../infra/asking.ts';
import { createPace, type Pace, patienceSeconds, patienceWithOthersSeconds } from './export-pace.ts';
import { exportBytes, exportsCut, exportsRunning } from './metrics.ts';

export interface ExportSlots extends AsyncDisposable {
  /**
   * Starts an export, or returns undefined when all places are taken. When its client is too slow, the stream is cut off
   * without its end, and `onCut` gets the reason. @throws what `begin` throws
   */
  open(begin: Begin, onCut: (why: string) => void): Promise<Readable | undefined>;
}

type Begin = () => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>;

export interface ExportSlotOptions {
  readonly limit: number;
  readonly minBytesPerSecond: number;
  /** The most time that one export may take. Left out: the read itself has a limit. */
  readonly maxMs?: number;
  /** How much is read before the client asks for it. */
  readonly bufferBytes?: number;
  /** The time between two checks of the pace: a second, except in tests. */
  readonly tickMs?: number;
}

interface Running {
  readonly stream: Readable;
  readonly pace: Pace;
  readonly onCut: (why: string) => void;
  readonly received: Received;
}

interface Received {
  /** Bytes that have been read from the database. */
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
    // The place is free at once, although the database may need a moment to end the read.
    leave(one);
    one.stream.destroy();
  };
  const tick = () => {
    for (const one of [...running]) {
      one.pace.tick(one.received.bytes - one.stream.readableLength, one.stream.readableLength > 0);
      if (one.pace.isSlowOver(patienceSeconds)) cut(one, 'slow');
    }
  };
  const makeRoom = () => {
    const slow = [...running].find(({ pace }) => pace.isSlowOver(patienceWithOthersSeconds));
    if (slow) cut(slow, 'room');
    return slow !== undefined;
  };

  return {
    async open(begin, onCut) {
      if (running.size + opening >= limit && !makeRoom()) return undefined;
      opening++;
      try {
        const received = { bytes: 0 };
        const counted = keepingAsker(inSlices(await begin(), received));
        const stream = Readable.from(counted, { objectMode: false, highWaterMark: bufferBytes });
        const one: Running = { stream, pace: createPace(minBytesPerSecond), onCut, received };
        const deadline = maxMs === undefined ? undefined : setTimeout(() => cut(one, 'time'), maxMs);
        // A stream closes however it ends: finished, failed, or cut off.
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
      await Promise.all([...running].map(({ stream }) => destroyed(stream)));
    },
  };
}

/** Counts what is read. The slices are small, so that their number shows how much of it the client has taken. */
async function* inSlices(pieces: AsyncIterable<Uint8Array>, received: Received): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    exportBytes.inc(piece.length);
    for (let at = 0; at < piece.length; at += sliceBytes) {
      const slice = piece.subarray(at, at + sliceBytes);
      received.bytes += slice.length;
      yield slice;
    }
  }
}

async function destroyed(stream: Readable): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.once('close', resolve);
  stream.destroy();
  if (!stream.closed) await promise;
}

const reasons = {
  slow: 'its client reads less than EXPORT_MIN_BYTES_PER_SECOND',
  room: 'its client reads less than EXPORT_MIN_BYTES_PER_SECOND, and another client waits for its place',
} as const;

const sliceBytes = 65_536;
