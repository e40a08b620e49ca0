-- Jobs: replays, restatements of late minutes, reconciliations. What a job has done stands here, so that it goes on after a restart.
-- Engine: ReplacingMergeTree(seq); key: id. Every change of a job is a whole row with the next seq: a repeated or stale row loses.
CREATE TABLE IF NOT EXISTS replay_job
(
    id            String,
    kind          LowCardinality(String) COMMENT 'replay, restate or reconcile',
    reason        LowCardinality(String) COMMENT 'replay; late or reconcile; hourly or asked',
    apply         UInt8,
    from_minute   DateTime('UTC'),
    to_minute     DateTime('UTC'),
    minutes       Array(DateTime('UTC')) COMMENT 'those of the range to recount; empty: all',
    state         LowCardinality(String) COMMENT 'queued, running, done, failed or cancelled',
    position      DateTime('UTC') COMMENT 'all before is done',
    minutes_done  UInt32,
    minutes_total UInt32,
    clicks_read   UInt64,
    cells_changed UInt64,
    result        String COMMENT 'JSON, of a reconciliation',
    error         String,
    created_at    DateTime64(3, 'UTC'),
    updated_at    DateTime64(3, 'UTC'),
    seq           UInt64
)
ENGINE = ReplacingMergeTree(seq)
ORDER BY id
TTL toDateTime(created_at) + INTERVAL 400 DAY;

-- Jobs somebody wants ended: apart from the job's row, whose only writer is who runs it.
-- Engine: ReplacingMergeTree; key: job. To ask twice is to ask once.
CREATE TABLE IF NOT EXISTS replay_cancellation
(
    job String,
    at  DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY job
TTL toDateTime(at) + INTERVAL 400 DAY;

-- What a job found different, whether it was to change it or only to tell.
-- Engine: ReplacingMergeTree; key: (job, minute, ad_id, country). A job that is run again finds the same, or what it has already changed no more.
CREATE TABLE IF NOT EXISTS replay_diff
(
    job     String,
    minute  DateTime('UTC'),
    ad_id   String CODEC(ZSTD),
    country LowCardinality(String),
    before  UInt64,
    after   UInt64,
    at      DateTime('UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (job, minute, ad_id, country)
TTL at + INTERVAL 35 DAY;

-- How many too_late lines a minute had, by day of arrival, when it was last recounted: more of them, and it is recounted again.
-- Engine: ReplacingMergeTree(lines); key: (day, minute). Lines only become more, so a repeated or stale row loses.
CREATE TABLE IF NOT EXISTS minute_recount
(
    day    Date COMMENT 'of appended_at',
    minute DateTime('UTC'),
    lines  UInt64,
    job    String,
    at     DateTime('UTC')
)
ENGINE = ReplacingMergeTree(lines)
PARTITION BY day
ORDER BY (day, minute)
TTL day + INTERVAL 40 DAY
SETTINGS ttl_only_drop_parts = 1;
