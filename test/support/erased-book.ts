/** What a process knows of erasures, made of the records that the query API would write. */
import { ErasureBook } from '../../ingest/privacy/erasure-book.ts';
import { erasureRecords, formOf, readErasure } from '../../ingest/privacy/erasure-record.ts';

/** Adds one erasure of these persons at a time in epoch ms. Returns its id. */
export function eraseInto(book: ErasureBook, at: number, ...userIds: readonly string[]): string {
  const forms = userIds.map(userId => formOf(userId));
  const { id, records } = erasureRecords(forms, userIds.length);
  for (const [offset, { value, headers = {} }] of records.entries())
    book.take(
      readErasure('erasures', {
        offset,
        timestamp: at,
        value: Buffer.from(String(value)),
        headers: headers as Record<string, string>,
      }),
    );
  return id;
}

export function bookOf(at: number, ...userIds: readonly string[]): ErasureBook {
  const book = new ErasureBook();
  eraseInto(book, at, ...userIds);
  return book;
}
