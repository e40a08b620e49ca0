/** What the checks look at: the ledger, the log as Kafka's own client reads it, and the tables as the server holds them. */
import type { ClickHouseEnv } from '../../infra/embedded/clickhouse.ts';
import type { Admin } from '../../infra/kafka/admin.ts';
import type { Names } from '../../infra/topics.ts';
import { type ReadLine, readCommitted } from '../support/read-committed.ts';
import { readStoreRows, type StoreRows } from './store-rows.ts';

export interface Evidence {
  readonly clicks: readonly ReadLine[];
  readonly aggregates: readonly ReadLine[];
  readonly quarantine: readonly ReadLine[];
  /** Offsets the sinks have committed, by `topic|partition`: all before is said to be in the store. */
  readonly stored: ReadonlyMap<string, number>;
  readonly rows: StoreRows;
}

export interface EvidenceSource {
  readonly brokers: string;
  readonly admin: Admin;
  readonly names: Names;
  readonly partitions: number;
  readonly clickHouse: ClickHouseEnv;
  /** Another way to Kafka's own consumer. */
  readonly read?: (topic: string) => Promise<readonly ReadLine[]>;
}

/** The store must be down. */
export async function gather(source: EvidenceSource): Promise<Evidence> {
  const { brokers, admin, names, partitions, clickHouse } = source;
  const read = source.read ?? ((topic: string) => readCommitted(brokers, topic));
  // Before the tables: what is committed now must be in them then.
  const stored = new Map<string, number>();
  const groups = {
    clicks: names.rawSinkGroup,
    aggregates: names.aggregateSinkGroup,
    quarantine: names.aggregateSinkGroup,
  };
  for (const [topic, group] of Object.entries(groups)) {
    for (let partition = 0; partition < partitions; partition++) {
      const commit = await admin.committed(group, names.topic(topic as keyof typeof groups), partition);
      stored.set(`${topic}|${partition}`, commit?.offset ?? 0);
    }
  }
  return {
    clicks: await read(names.topic('clicks')),
    aggregates: await read(names.topic('aggregates')),
    quarantine: await read(names.topic('quarantine')),
    stored,
    rows: await readStoreRows(clickHouse),
  };
}
