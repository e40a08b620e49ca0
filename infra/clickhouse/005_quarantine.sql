-- Every line that was not counted, whole, with the reason.
-- Engine: ReplacingMergeTree; key: where the line stands in the log. A re-inserted row has the same key and the same columns.
CREATE TABLE IF NOT EXISTS quarantine
(
    partition   UInt16,
    offset      UInt64,
    line        UInt32,
    reason      LowCardinality(String),
    detail      String,
    appended_at DateTime64(3, 'UTC'),
    ad_id       String,
    event_id    String,
    clicked_at  Int64 COMMENT 'epoch ms as sent, any number; 0 = none',
    raw         String CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(appended_at)
ORDER BY (partition, offset, line)
TTL toDateTime(appended_at) + INTERVAL 35 DAY
SETTINGS ttl_only_drop_parts = 1;
