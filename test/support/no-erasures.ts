/** A process that knows of no erasure, and that there is none. */
import { ErasureBook } from '../../ingest/privacy/erasure-book.ts';

export const noErasures = { book: new ErasureBook(), check: () => undefined, readToEnd: async () => undefined };
