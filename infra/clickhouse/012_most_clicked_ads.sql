-- The ads with the most clicks in the 1, 5 and 60 minutes before each minute's end, and the sums by country of whole minutes and hours; once final.
-- Engine: ReplacingMergeTree(restatements); key: (window, ends). A row is worked out whole, never added to, and again after each restatement in its window:
-- it is up to date as long as `restatements` is the number of rows of table `restatement` in its window. So a stale row loses, and a repeated one says the same.
CREATE TABLE IF NOT EXISTS most_clicked_ads
(
    window       UInt16 COMMENT 'minutes',
    ends         DateTime('UTC') COMMENT 'exclusive',
    ads          Array(Tuple(ad_id String, clicks UInt64)) COMMENT 'most clicks first, then by ad_id' CODEC(ZSTD),
    others       UInt64 COMMENT 'no ad that is left out has more clicks than this; 0: none has any',
    counts       Array(Tuple(country String, clicks UInt64, duplicates UInt64, late UInt64)) COMMENT 'of all ads; of whole minutes (window 1) and whole hours, else empty' CODEC(ZSTD),
    restatements UInt64 COMMENT 'of the window that are in it'
)
ENGINE = ReplacingMergeTree(restatements)
PARTITION BY toDate(ends)
ORDER BY (window, ends)
TTL ends + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1, index_granularity = 8;
