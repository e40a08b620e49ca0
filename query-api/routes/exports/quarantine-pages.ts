/**
 * Streams all lines of the quarantine that pass a filter, oldest first. They are read page by page, and each page only
 * after the client has read the previous one. So memory contains one or two pages, however many lines there are and
 * however slow the client is.
 */
import type { Readable } from 'node:stream';
import type { ExportFilter, JudgedLine, QuarantineQueries } from '../../store/quarantine.ts';
import { createExportSlots } from './export-slots.ts';

export interface QuarantineExports {
  /**
   * Returns undefined when too many exports are running. The stream is cut off, without its end, after `maxMs`, when its
   * client is too slow, or when the store fails. @throws Retryable when the store does not answer the first page
   */
  open(
    lines: Pick<QuarantineQueries, 'page'>,
    filter: ExportFilter,
    format: ExportFormat,
    onCut: (why: string) => void,
  ): Promise<Readable | undefined>;
  /** Cuts off all running exports. */
  close(): Promise<void>;
}

export interface ExportFormat {
  readonly head: string;
  readonly row: (line: JudgedLine) => string;
}

export interface ExportLimits {
  readonly maxMs: number;
  /** The most exports at the same time. */
  readonly maxOpen: number;
  readonly minBytesPerSecond: number;
}

export const exportLimits = { maxMs: 300_000, maxOpen: 2 };

export function createQuarantineExports({ maxMs, maxOpen, minBytesPerSecond }: ExportLimits): QuarantineExports {
  // The buffer is smaller than a page, so the stream asks for no further page while it contains one.
  const slots = createExportSlots({ limit: maxOpen, minBytesPerSecond, maxMs, bufferBytes: 16_384 });
  return {
    async open({ page }, filter, format, onCut) {
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
