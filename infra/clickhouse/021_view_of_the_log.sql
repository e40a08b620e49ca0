-- Terms of office of who runs the jobs (infra/decisions/025): its row is the first that a term writes into the log, so whoever sees it here sees
-- all that runners before have said.
-- Engine: ReplacingMergeTree; key: (since, instance). A term begins once: its row inserted again says the same.
CREATE TABLE IF NOT EXISTS job_runner
(
    since    DateTime64(3, 'UTC'),
    instance String,
    host     String
)
ENGINE = ReplacingMergeTree
ORDER BY (since, instance)
TTL toDateTime(since) + INTERVAL 400 DAY;

-- 1: the row came out of the log. 0: a release before has inserted it by itself, or a person by hand; who runs the jobs says it once more, through the
-- log, with the same version.
-- To add a column that is there changes nothing.
ALTER TABLE replay_job ADD COLUMN IF NOT EXISTS logged UInt8 DEFAULT 0;
ALTER TABLE conservation_seal ADD COLUMN IF NOT EXISTS logged UInt8 DEFAULT 0;
ALTER TABLE stored_filter ADD COLUMN IF NOT EXISTS logged UInt8 DEFAULT 0;
