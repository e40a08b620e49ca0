-- Terms of office of who runs the jobs (infra/decisions/025): its row is the first that a term writes into the log, so whoever sees it here sees
-- all that runners before have said.
-- While a term lasts, its row is said again every half minute.
-- Engine: ReplacingMergeTree(seen_at); key: (since, instance). A repeated row says the same, a stale one loses.
CREATE TABLE IF NOT EXISTS job_runner
(
    since    DateTime64(3, 'UTC') COMMENT 'greater than that of any term before',
    instance String COMMENT 'of this term alone',
    host     String COMMENT 'host and port of the process',
    seen_at  DateTime64(3, 'UTC') COMMENT 'it has said then that it is there'
)
ENGINE = ReplacingMergeTree(seen_at)
ORDER BY (since, instance)
TTL toDateTime(seen_at) + INTERVAL 400 DAY;

-- 1: the row came out of the log. 0: a release before has inserted it by itself, or a person by hand; who runs the jobs says it once more, through the
-- log, with the same version.
-- To add a column that is there changes nothing.
ALTER TABLE replay_job ADD COLUMN IF NOT EXISTS logged UInt8 DEFAULT 0;
ALTER TABLE conservation_seal ADD COLUMN IF NOT EXISTS logged UInt8 DEFAULT 0;
ALTER TABLE stored_filter ADD COLUMN IF NOT EXISTS logged UInt8 DEFAULT 0;
