-- What each comparison of rows with counters, and of raw clicks with counts, has found: the latest is what GET /v1/status tells.
-- Engine: ReplacingMergeTree; key: at. Only one process compares at a time, and a repeated row says the same.
CREATE TABLE IF NOT EXISTS conservation_check
(
    at              DateTime64(3, 'UTC'),
    checked_at      DateTime64(3, 'UTC') COMMENT 'when something was last known of every partition; 0: not yet',
    differences     String COMMENT 'JSON: partitions and outcomes whose rows differ from their counters' CODEC(ZSTD),
    uncounted       Int64 COMMENT 'accepted clicks that are in no count long after they came too late; -1: not looked for yet'
)
ENGINE = ReplacingMergeTree
ORDER BY at
TTL toDateTime(at) + INTERVAL 400 DAY;
