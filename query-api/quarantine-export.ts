/**
 * All lines in quarantine that a filter lets through, oldest first, however many: read page by page from where the last
 * page ended, and only when the client has taken that one. So memory holds a page or two, whatever the client does.
 */
import { Readable } from 'node:stream';
import type { ExportFilter, QuarantineQueries, QuarantineSample } from './quarantine-queries.ts';

export interface QuarantineExports {
  /**
   * Undefined where as many run as may. The stream is cut off, without its end, after `maxMs`, or when the store fails.
   * @throws Retryable where the store does not answer the first page
   */
  open(filter: ExportFilter, format: ExportFormat, onCut: (why: string) => void): Promise<Readable | undefined>;
  /** Cuts off those that run. */
  close(): void;
}

export interface ExportFormat {
  readonly head: string;
  readonly row: (line: QuarantineSample) => string;
}

export interface ExportLimits {
  readonly maxMs: number;
  /** At the same time. */
  readonly maxOpen: number;
}

export const exportLimits: ExportLimits = { maxMs: 300_000, maxOpen: 2 };

export function createQuarantineExports(
  { page }: Pick<QuarantineQueries, 'page'>,
  { maxMs, maxOpen }: ExportLimits = exportLimits,
): QuarantineExports {
  const open = new Set<Readable>();
  let opening = 0;
  return {
    async open(filter, format, onCut) {
      if (open.size + opening >= maxOpen) return undefined;
      opening++;
      try {
        const first = await page(filter, undefined);
        // In bytes: with a page in it the stream asks for no further one.
        const stream = Readable.from(textOf(first, filter, format, page), { objectMode: false });
        const timer = setTimeout(() => {
          onCut(`not taken within ${maxMs} ms`);
          stream.destroy();
        }, maxMs);
        open.add(stream);
        stream.once('error', error => onCut(error.message));
        stream.once('close', () => {
          clearTimeout(timer);
          open.delete(stream);
        });
        return stream;
      } finally {
        opening--;
      }
    },
    close() {
      for (const stream of open) stream.destroy();
    },
  };
}

async function* textOf(
  first: readonly QuarantineSample[],
  filter: ExportFilter,
  { head, row }: ExportFormat,
  page: QuarantineQueries['page'],
): AsyncGenerator<Buffer> {
  if (head !== '') yield Buffer.from(head);
  for (let lines = first; ; ) {
    const last = lines.at(-1);
    if (last === undefined) return;
    yield Buffer.from(lines.map(row).join(''));
    lines = await page(filter, last);
  }
}
