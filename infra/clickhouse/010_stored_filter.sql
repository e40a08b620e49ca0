-- Filters that were given a name, to be asked for by it.
-- Engine: ReplacingMergeTree(seq); key: id. Every change, a deletion too, is a whole row with a higher seq: a repeated or stale row loses.
CREATE TABLE IF NOT EXISTS stored_filter
(
    id         String,
    definition String COMMENT 'JSON, as query-api/filters/filter-definition.ts has it',
    deleted    UInt8,
    created_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC'),
    seq        UInt64
)
ENGINE = ReplacingMergeTree(seq)
ORDER BY id;
