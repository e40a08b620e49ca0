-- What was found out about a click when it was received, as letters (ingest/validity/facts.ts), and two fields from which it was found.
-- Rows from before have none of them, as clicks do that have none. To add a column that is there changes nothing.
ALTER TABLE click_raw
    ADD COLUMN IF NOT EXISTS facts LowCardinality(String) DEFAULT '',
    ADD COLUMN IF NOT EXISTS user_agent String DEFAULT '' CODEC(ZSTD),
    ADD COLUMN IF NOT EXISTS referrer String DEFAULT '' CODEC(ZSTD);
