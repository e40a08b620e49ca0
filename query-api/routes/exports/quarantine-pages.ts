/**
 * All lines in quarantine that a filter lets through, oldest first, however many: read page by page from where the last
 * page ended, and only when the client has taken that one. So memory holds a page or two, whatever the client does.
 */
import type { Readable } from 'node:stream';
import type { ExportFilter, JudgedLine, QuarantineQueries } from '../../store/quarantine.ts';
import { createExportSlots } from './export-slots.ts';

export interface QuarantineExports {
  /**
   * Undefined where as many run as may. The stream is cut off, without its end, after `maxMs`, where its client is too
   * slow, or when the store fails.
   * @throws Retryable where the store does not answer the first page
   */
  open(filter: ExportFilter, format: ExportFormat, onCut: (why: string) => void): Promise<Readable | undefined>;
  /** Cuts off those that run. */
  close(): Promise<void>;
}

export interface ExportFormat {
  readonly head: string;
  readonly row: (line: JudgedLine) => string;
}

export interface ExportLimits {
  readonly maxMs: number;
  /** At the same time. */
  readonly maxOpen: number;
  readonly minBytesPerSecond: number;
}

export const exportLimits = { maxMs: 300_000, maxOpen: 2 };

export function createQuarantineExports(
  { page }: Pick<QuarantineQueries, 'page'>,
  { maxMs, maxOpen, minBytesPerSecond }: ExportLimits,
): QuarantineExports {
  // With a page in it the stream asks for no further one.
  const slots = createExportSlots({ limit: maxOpen, minBytesPerSecond, maxMs, bufferBytes: 16_384 });
  return {
    async open(filter, format, onCut) {
      const stream = await slots.open(async () => {
        const first = await page(filter, undefined);
        return textOf(first, filter, format, page);
      }, onCut);
      stream?.once('error', error => onCut(error.message));
      return stream;
    },
    close: async () => await slots[Symbol.asyncDispose](),
  };
}

async function* textOf(
  first: readonly JudgedLine[],
  filter: ExportFilter,
  { head, row }: ExportFormat,
  page: QuarantineQueries['page'],
): AsyncGenerator<Buffer> {
  if (head !== '') yield Buffer.from(head);
  for (let lines = first; ; ) {
    const last = lines.at(-1);
    if (last === undefined) return;
    const asked = lines.filter(line => filter.outcome === undefined || line.outcome === filter.outcome);
    if (asked.length > 0) yield Buffer.from(asked.map(row).join(''));
    lines = await page(filter, last);
  }
}
