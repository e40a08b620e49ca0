-- How far each partition is counted: one current row per partition, inserted after the counts it covers.
-- Engine: ReplacingMergeTree(position); key: partition. Progress only grows, so a stale or repeated row loses.
CREATE TABLE IF NOT EXISTS partition_progress
(
    partition   UInt16,
    partitions  UInt16,
    position    UInt64,
    watermark   DateTime64(3, 'UTC'),
    final_until DateTime64(3, 'UTC'),
    appended_at DateTime64(3, 'UTC'),
    received    UInt64,
    counted     UInt64,
    duplicates  UInt64,
    quarantined UInt64
)
ENGINE = ReplacingMergeTree(position)
ORDER BY partition;
