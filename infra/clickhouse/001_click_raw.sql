-- Every click accepted into the log and not `future`, as it stands there.
-- Engine: ReplacingMergeTree; key: (minute, ad_id, click_id). A re-inserted row has the same key and the same columns, so FINAL sees it once,
-- whatever the borders of the batches were. All columns of the key come from the line itself, never from the clock of whoever inserts.
CREATE TABLE IF NOT EXISTS click_raw
(
    click_id    String CODEC(ZSTD),
    event_id    String CODEC(ZSTD),
    ad_id       String CODEC(ZSTD),
    clicked_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    country     LowCardinality(String),
    user_id     String DEFAULT '' CODEC(ZSTD),
    ip          String DEFAULT '' CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(clicked_at)
ORDER BY (toStartOfMinute(clicked_at), ad_id, click_id)
TTL toDateTime(clicked_at) + INTERVAL 35 DAY
SETTINGS ttl_only_drop_parts = 1;
