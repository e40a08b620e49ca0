-- Every change of a final count: by which job, why, from what to what.
-- Engine: ReplacingMergeTree; key: (minute, ad_id, country, revision). A cell has one row per revision of its count (ad_minute.version >> 48), so
-- the row of a job that died before it changed the count is replaced by that of the job that does: at any time the rows of a cell are its history.
CREATE TABLE IF NOT EXISTS restatement
(
    minute            DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    ad_id             String CODEC(ZSTD),
    country           LowCardinality(String),
    revision          UInt16,
    job               String CODEC(ZSTD),
    reason            LowCardinality(String) COMMENT 'late, replay or reconcile',
    before            UInt64,
    after             UInt64,
    before_duplicates UInt64,
    after_duplicates  UInt64,
    at                DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(minute)
ORDER BY (minute, ad_id, country, revision)
TTL minute + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;
