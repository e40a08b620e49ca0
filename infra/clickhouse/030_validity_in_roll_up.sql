-- Invalid clicks in the roll-up (infra/decisions/044). Rows from before any rules were announced have none, as the defaults say.
-- To add a column that is there changes nothing.
ALTER TABLE ad_hour ADD COLUMN IF NOT EXISTS invalid UInt64 DEFAULT 0 CODEC(T64, ZSTD), ADD COLUMN IF NOT EXISTS invalid_by Map(LowCardinality(String), UInt64), ADD COLUMN IF NOT EXISTS rules_low UInt32 DEFAULT 0 COMMENT 'the lowest version of the rules in the hour', ADD COLUMN IF NOT EXISTS rules_high UInt32 DEFAULT 0 COMMENT 'the highest one';

-- `clicks` of `ads` are those that are not invalid, and give the order. `beside` has what else is known of each ad, in the same order. A row from before
-- this column has no `beside`, so it says nothing about duplicates: they are looked up.
-- `judged` has what else is known of each country of `counts`, in the same order; a row from before has none, and no invalid clicks.
ALTER TABLE most_clicked_ads ADD COLUMN IF NOT EXISTS beside Array(Tuple(duplicates UInt64, invalid UInt64)) CODEC(ZSTD), ADD COLUMN IF NOT EXISTS judged Array(Tuple(invalid UInt64, invalid_by Map(LowCardinality(String), UInt64), rules_low UInt32, rules_high UInt32)) CODEC(ZSTD);
