-- Which of the clicks of a count are invalid, by which reason, and by which version of the rules (infra/decisions/044); 0 and {}: no rules were applied.
-- An aggregator or sink of the release before sends arrays of the eight columns that were there, and names no columns. So ad_minute must take these and
-- no others from an insert that names none: what is given is ephemeral, and what is stored is made of it. SELECT * leaves the three columns out.
-- To add a column that is there changes nothing.
ALTER TABLE ad_minute
    ADD COLUMN IF NOT EXISTS rules_given UInt32 EPHEMERAL 0,
    ADD COLUMN IF NOT EXISTS invalid_given UInt64 EPHEMERAL 0,
    ADD COLUMN IF NOT EXISTS invalid_by_given Map(LowCardinality(String), UInt64) EPHEMERAL map(),
    ADD COLUMN IF NOT EXISTS rules UInt32 MATERIALIZED rules_given CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS invalid UInt64 MATERIALIZED invalid_given CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS invalid_by Map(LowCardinality(String), UInt64) MATERIALIZED invalid_by_given;

-- Only the view inserts here, and it names its columns.
ALTER TABLE ad_minute_by_ad
    ADD COLUMN IF NOT EXISTS rules UInt32 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS invalid UInt64 CODEC(T64, ZSTD),
    ADD COLUMN IF NOT EXISTS invalid_by Map(LowCardinality(String), UInt64);
ALTER TABLE ad_minute_to_by_ad MODIFY QUERY
    SELECT minute, ad_id, country, partition, version, clicks, duplicates, late, rules, invalid, invalid_by FROM ad_minute;

-- The clicks in `counted` that are invalid; rows from before say of none.
ALTER TABLE partition_progress ADD COLUMN IF NOT EXISTS invalid UInt64 DEFAULT 0;
ALTER TABLE conservation_seal ADD COLUMN IF NOT EXISTS invalid Int64 DEFAULT 0;

-- What the rules had found in the rows that a restatement has replaced (`stated`), and what they find in those it has made (`rows`): element by element
-- of these. Empty: nothing, in rows from before.
ALTER TABLE restatement
    ADD COLUMN IF NOT EXISTS stated_judged Array(Tuple(rules UInt32, invalid UInt64, invalid_by Map(String, UInt64))),
    ADD COLUMN IF NOT EXISTS rows_judged Array(Tuple(rules UInt32, invalid UInt64, invalid_by Map(String, UInt64)));
