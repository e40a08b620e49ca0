-- What each comparison of the ClickHouse nodes of a shard has found (infra/decisions/030): the latest is what GET /v1/status tells, and where the next
-- runner of jobs looks again.
-- Engine: ReplacingMergeTree; key: at. Only one process compares at a time, and a repeated row says the same.
CREATE TABLE IF NOT EXISTS replica_check
(
    at              DateTime64(3, 'UTC') COMMENT 'when it was done',
    differences     UInt32 COMMENT 'hours of partitions in which nodes of a shard differ, as found so far',
    places          String COMMENT 'JSON: table, hour and partition of them, at most a hundred' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY at
TTL toDateTime(at) + INTERVAL 400 DAY;
