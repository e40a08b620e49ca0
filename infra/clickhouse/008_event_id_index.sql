-- Where did my click go: one event_id among the clicks of weeks. Indexes change no row, and to add or build one again changes nothing.
ALTER TABLE click_raw ADD INDEX IF NOT EXISTS by_event_id event_id TYPE bloom_filter(0.01) GRANULARITY 4;
ALTER TABLE click_raw MATERIALIZE INDEX by_event_id;
ALTER TABLE quarantine ADD INDEX IF NOT EXISTS by_event_id event_id TYPE bloom_filter(0.01) GRANULARITY 4;
ALTER TABLE quarantine MATERIALIZE INDEX by_event_id;
