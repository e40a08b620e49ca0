-- What the rows of a closed stretch add up to, per partition, kept for ever: rows expire, the books stay balanced without them.
-- Engine: ReplacingMergeTree(at); key: (source, partition, since). A stretch that is sealed takes no more live rows, so to seal it again says the
-- same; where rows were lost or repaired since, the later seal says what there is, and replaces the earlier.
CREATE TABLE IF NOT EXISTS conservation_seal
(
    source      LowCardinality(String) COMMENT 'ad_minute, quarantine, or accepted: a difference that a person has looked into and writes off',
    partition   UInt16,
    since       UInt64 COMMENT 'ad_minute: begin of the hour, epoch s; quarantine: first offset; accepted: any number of its own',
    until       UInt64 COMMENT 'end, exclusive, likewise',
    counted     Int64,
    duplicates  Int64,
    quarantined Int64,
    kept_until  DateTime('UTC') COMMENT 'until then all rows are there, and the seal is renewed from time to time',
    note        String,
    at          DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (source, partition, since);

-- Where a restated count was counted live: the rows as they were before the revision. Only the first revision's are those of the stream.
-- To add a column that is there changes nothing.
ALTER TABLE restatement ADD COLUMN IF NOT EXISTS stated Array(Tuple(partition UInt16, clicks UInt64, duplicates UInt64));
