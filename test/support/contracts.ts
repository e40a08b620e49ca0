/** What one room may import of another: shapes, and how they are read. Their header comments begin with CONTRACT. */
export const contracts: readonly string[] = [
  'ingest/click.ts',
  'ingest/country.ts',
  'ingest/ack-chain.ts',
  'ingest/click-records.ts',
  // Who counts judges clicks by what ingest found out, and by the rules of their minute.
  'ingest/validity/facts.ts',
  'ingest/validity/rules.ts',
  'ingest/validity/rule-set.ts',
  'ingest/hot-ads/announce-rules.ts',
  'ingest/record-reader.ts',
  'ingest/record-traces.ts',
  // Whoever asks for a person looks for what ingest keeps.
  'ingest/privacy/personal-data.ts',
  'ingest/privacy/privacy-config.ts',
  // Who inserts rows and who asks for them know who was erased.
  'ingest/privacy/erasure-record.ts',
  'ingest/privacy/erasure-book.ts',
  'ingest/privacy/follow-erasures.ts',
  // Exports, and who feeds them again, have the same columns.
  'ingest/feed/exported-columns.ts',
  // Who asks where a click is has to read the same rules in the same way.
  'ingest/hot-ads/rule.ts',
  'ingest/hot-ads/rule-book.ts',
  'ingest/hot-ads/rule-reader.ts',
  // Whoever tells what is final, or has the partitions grow, goes by the same record.
  'ingest/hot-ads/partition-rule.ts',
  'ingest/hot-ads/partition-record.ts',
  'ingest/hot-ads/partition-comparison.ts',
  'ingest/hot-ads/grow-partitions.ts',
  'aggregator/ad-minute.ts',
  'aggregator/job-records.ts',
  'aggregator/restatement.ts',
  // What a sink has committed for a node, and how far that is.
  'aggregator/sink/node.ts',
  'aggregator/sink/held-offsets.ts',
  // A recount reads what sinks are about to keep.
  'aggregator/sink/erased-rows.ts',
  // A recount is the core's work, but only the room that asks the store can read the raw clicks for it.
  'aggregator/replay/recount-thread.ts',
];
