-- Clicks per ad, country and minute, in time order: for top lists.
-- Engine: ReplacingMergeTree(version); key: (minute, ad_id, country, partition). Rows are absolute counts, true of the log before offset `version`:
-- a re-inserted or stale row loses to the higher version or equals it, so any replay of the topic converges.
CREATE TABLE IF NOT EXISTS ad_minute
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
ORDER BY (minute, ad_id, country, partition)
TTL minute + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;
