-- By which version of the rules the clicks of a cell were judged before and after a restatement. How many of them were invalid is in stated_judged and
-- rows_judged. 0: by none, also in rows from before rules. To add a column that is there changes nothing.
ALTER TABLE restatement
    ADD COLUMN IF NOT EXISTS before_rules UInt32,
    ADD COLUMN IF NOT EXISTS after_rules UInt32;

-- How many of the clicks that a job has found to differ were invalid, so that a replay by other rules can be summed up by ad.
ALTER TABLE replay_diff
    ADD COLUMN IF NOT EXISTS before_invalid UInt64,
    ADD COLUMN IF NOT EXISTS after_invalid UInt64;
