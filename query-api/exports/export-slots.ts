/** How many exports run: beyond a small number ClickHouse would be busy with nothing else. */
import { Readable } from 'node:stream';
import { Problem } from '../../infra/http.ts';
import { exportBytes, exportsRunning } from './metrics.ts';

export interface ExportSlots extends AsyncDisposable {
  /** @throws Problem where all are taken */
  open(pieces: () => AsyncIterable<Uint8Array>): Readable;
}

export function createExportSlots(limit: number): ExportSlots {
  const running = new Set<Readable>();

  /** The slot is free again when the read has ended, however it did: done, failed, or nobody takes the rest. */
  async function* counted(pieces: AsyncIterable<Uint8Array>, ended: () => void): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of pieces) {
        exportBytes.inc(piece.length);
        yield piece;
      }
    } finally {
      ended();
    }
  }

  return {
    open(pieces) {
      if (running.size >= limit) {
        throw new Problem(503, 'exports_busy', `${limit} exports are running, which is the limit: try again`, {}, 10);
      }
      let stream: Readable | undefined;
      const ended = () => {
        if (stream) running.delete(stream);
        exportsRunning.set(running.size);
      };
      stream = Readable.from(counted(pieces(), ended), { objectMode: false, highWaterMark: 1 << 20 });
      // A generator that was never begun has no end.
      stream.once('close', ended);
      running.add(stream);
      exportsRunning.set(running.size);
      return stream;
    },

    async [Symbol.asyncDispose]() {
      const closed = [...running].map(stream => {
        const { promise, resolve } = Promise.withResolvers<void>();
        stream.once('close', resolve);
        stream.destroy();
        return stream.closed ? undefined : promise;
      });
      await Promise.all(closed);
    },
  };
}
