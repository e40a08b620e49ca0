-- One ad's day is some ten thousand rows in ten parts, and of each part whole granules are read: of 8,192 rows, mostly of other ads, as before, or of
-- 1,024. A table's granularity cannot be changed, so ad_minute_by_ad is made anew, and takes over the parts of the old one (hard links, in no time):
-- these keep their granules until they are merged with others, and are read as before until then.
-- At every moment ad_minute_by_ad has all rows, whoever inserts and reads meanwhile: both tables are filled before they change places. Done twice,
-- or by two at a time, it says the same; what died in between is done again.
CREATE TABLE IF NOT EXISTS ad_minute_by_ad_023
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
SETTINGS ttl_only_drop_parts = 1, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS ad_minute_to_by_ad_023 TO ad_minute_by_ad_023
AS SELECT minute, ad_id, country, partition, version, clicks, duplicates, late FROM ad_minute;

-- Inserts that began before that view was there do not know of it: they must have ended. Where there are no rows yet, nobody waits.
SELECT sleepEachRow(2) FROM system.parts WHERE database = currentDatabase() AND table = 'ad_minute_by_ad' AND active LIMIT 1;
SELECT throwIf(count() > 0, 'an insert into ad_minute goes on from before the migration 023: start again when it has ended')
FROM system.processes
WHERE query ILIKE 'INSERT INTO ad_minute %' AND current_database = currentDatabase() AND toUnixTimestamp(now()) - elapsed <= (
    SELECT max(toUnixTimestamp(metadata_modification_time)) FROM system.tables WHERE database = currentDatabase() AND name = 'ad_minute_to_by_ad_023'
);

ALTER TABLE ad_minute_by_ad_023 ATTACH PARTITION ALL FROM ad_minute_by_ad;
-- Never an empty table in the place of a full one, whoever else is at it.
SELECT throwIf(sumIf(rows, table = 'ad_minute_by_ad') > 2 * sumIf(rows, table = 'ad_minute_by_ad_023'), 'the migration 023 is done by another process, too: start again')
FROM system.parts WHERE database = currentDatabase() AND table IN ('ad_minute_by_ad', 'ad_minute_by_ad_023') AND active;
EXCHANGE TABLES ad_minute_by_ad AND ad_minute_by_ad_023;
DROP VIEW IF EXISTS ad_minute_to_by_ad_023 SYNC;
DROP TABLE IF EXISTS ad_minute_by_ad_023 SYNC;
