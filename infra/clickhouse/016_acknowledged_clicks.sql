-- Clicks that were acknowledged, and those of them that never reached the log (aggregator/ad-minute.ts); rows from before say of none.
-- `missing` of a seal with source 'accepted': how many of them a person has looked into and writes off.
-- To add a column that is there changes nothing.
ALTER TABLE partition_progress ADD COLUMN IF NOT EXISTS acknowledged UInt64 DEFAULT 0, ADD COLUMN IF NOT EXISTS missing UInt64 DEFAULT 0;
ALTER TABLE conservation_seal ADD COLUMN IF NOT EXISTS missing Int64 DEFAULT 0;
