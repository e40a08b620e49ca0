/** Tells whether persons are being erased in some node of a shard and not yet in another one, so that rows may differ. */
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { donePartsOf } from '../../../infra/clickhouse/erasing.ts';
import type { FollowedErasures } from '../../../ingest/privacy/follow-erasures.ts';

/** Of the rows of these tables, erasing changes some. */
export const erasedTables: ReadonlySet<string> = new Set(['click_raw', 'quarantine']);

export type AreErasuresOpen = (
  nodes: readonly { readonly clickhouse: Pick<ClickHouse, 'query'> }[],
) => Promise<boolean>;

/** @throws Retryable when the log or a node does not answer */
export function erasuresOpenIn({ book, readToEnd }: Pick<FollowedErasures, 'book' | 'readToEnd'>): AreErasuresOpen {
  return async nodes => {
    await readToEnd();
    if (book.version === 0) return false;
    const done = await Promise.all(nodes.map(({ clickhouse }) => donePartsOf(clickhouse)));
    return done.some(parts => book.names.some(name => !parts.has(name)));
  };
}
