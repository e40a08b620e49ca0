-- Every row of ad_minute goes into ad_minute_by_ad with the same insert: the sink sends it once, and it is parsed once.
-- A view has no rows of its own. An insert that broke off between the two tables is repeated by the sink, as any other.
CREATE MATERIALIZED VIEW IF NOT EXISTS ad_minute_to_by_ad TO ad_minute_by_ad
AS SELECT minute, ad_id, country, partition, version, clicks, duplicates, late FROM ad_minute;
