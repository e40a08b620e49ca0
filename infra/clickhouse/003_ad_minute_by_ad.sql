-- The rows of ad_minute once more, in the order of ads: for one ad over a long time.
-- Engine: ReplacingMergeTree(version); key: (ad_id, minute, country, partition). Re-inserts are harmless as in ad_minute.
CREATE TABLE IF NOT EXISTS ad_minute_by_ad
(
    minute     DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    ad_id      String CODEC(ZSTD),
    country    LowCardinality(String),
    partition  UInt16,
    version    UInt64 CODEC(Delta, ZSTD),
    clicks     UInt64 CODEC(T64, ZSTD),
    duplicates UInt64 CODEC(T64, ZSTD),
    late       UInt64 CODEC(T64, ZSTD)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toDate(minute)
ORDER BY (ad_id, minute, country, partition)
TTL minute + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;
