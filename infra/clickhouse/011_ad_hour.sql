-- Clicks per ad, country and hour, of hours that are final: for long ranges.
-- Engine: ReplacingMergeTree(restatements); key: (ad_id, hour, country). An hour is worked out whole from the FINAL rows of ad_minute, never added to.
-- It is worked out again after each restatement in it, so a stale row loses, and a repeated one says the same. Whether an hour is there, whole and up to
-- date says its row of most_clicked_ads (window 60), which is written after these.
CREATE TABLE IF NOT EXISTS ad_hour
(
    hour         DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    ad_id        String CODEC(ZSTD),
    country      LowCardinality(String),
    restatements UInt64 COMMENT 'of the hour that are in it' CODEC(Delta, ZSTD),
    clicks       UInt64 CODEC(T64, ZSTD),
    duplicates   UInt64 CODEC(T64, ZSTD),
    late         UInt64 CODEC(T64, ZSTD)
)
ENGINE = ReplacingMergeTree(restatements)
PARTITION BY toDate(hour)
ORDER BY (ad_id, hour, country)
TTL hour + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 1024;
