-- Which erasures of persons this node has done (ingest/privacy/erasure-record.ts): its sink says so when it has found no row of them any more.
-- It is about this node alone, so nodes may differ in it, and a node that is filled again has none and does all of them once more.
-- Engine: ReplacingMergeTree(at); key: part. The part with the name '' says when the sink has last looked for rows of any erasure.
CREATE TABLE IF NOT EXISTS erasure_done
(
    part String COMMENT 'erasure and part, as its record in topic erasures has them',
    at   DateTime64(3, 'UTC') COMMENT 'when the look began that found nothing'
)
ENGINE = ReplacingMergeTree(at)
ORDER BY part
TTL toDateTime(at) + INTERVAL 60 DAY;
