-- Which recounts of a minute are in its counts. One row makes all that a job changes in a minute visible at once: it is written after all rows of
-- `restatement` that bear its (minute, at, job), and those are invisible without it.
-- Engine: ReplacingMergeTree(settled); key: (minute, at, job). It is written as not settled, and once more when `ad_minute` has the rows: a stale or
-- repeated row loses.
CREATE TABLE IF NOT EXISTS recounted_minute
(
    minute     DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    at         DateTime64(3, 'UTC') COMMENT 'as in restatement',
    job        String CODEC(ZSTD),
    cells      UInt32 COMMENT 'rows of restatement that it makes visible',
    read_until Map(UInt16, UInt64) COMMENT 'by partition of topic clicks: click_raw had all clicks before this offset when the minute was recounted',
    settled    UInt8 COMMENT '1: ad_minute has those rows'
)
ENGINE = ReplacingMergeTree(settled)
PARTITION BY toDate(minute)
ORDER BY (minute, at, job)
TTL minute + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 1;

-- The rows that a restated count has from then on; empty: from before they were kept here, and visible without a row of recounted_minute.
-- To add a column that is there changes nothing.
ALTER TABLE restatement ADD COLUMN IF NOT EXISTS rows Array(Tuple(partition UInt16, clicks UInt64, duplicates UInt64, late UInt64));

-- Late clicks that were restated before recounts said how far they had read: those of minutes for which a job is done that took as many of them as came.
-- Inserted once more they say the same.
INSERT INTO recounted_minute (minute, at, job, cells, read_until, settled)
SELECT toDateTime(intDiv(late.minute_ms, 1000), 'UTC'), fromUnixTimestamp64Milli(toInt64(0), 'UTC'), max(seen.seen_job), 0, maxMap(late.until), 1
FROM (
    SELECT toDate(appended_at) AS late_day, intDiv(clicked_at, 60000) * 60000 AS minute_ms, count() AS lines, maxMap(map(partition, offset + 1)) AS until
    FROM quarantine FINAL WHERE reason = 'too_late' AND appended_at >= now() - INTERVAL 9 DAY GROUP BY late_day, minute_ms
) AS late
INNER JOIN (
    SELECT recounts.day AS seen_day, toInt64(toUnixTimestamp(recounts.minute)) * 1000 AS seen_ms, recounts.lines AS seen_lines, recounts.job AS seen_job
    FROM (SELECT day, minute, lines, job FROM minute_recount FINAL) AS recounts
    INNER JOIN (SELECT id FROM replay_job FINAL WHERE state = 'done') AS jobs ON recounts.job = jobs.id
) AS seen ON late.late_day = seen.seen_day AND late.minute_ms = seen.seen_ms
WHERE late.lines <= seen.seen_lines
GROUP BY late.minute_ms;
