-- From which minute on the partition tells clicks apart by ad and event id, epoch ms (aggregator/ad-minute.ts); NULL: in none yet, as rows from before
-- say by not having it. To add a column that is there changes nothing.
ALTER TABLE partition_progress ADD COLUMN IF NOT EXISTS ids_per_ad_from Nullable(Int64);
