-- Who has asked for what, when and from where (infra/audit/audit-record.ts): what GET /v1/audit reads.
-- Engine: ReplacingMergeTree(step); key: (at, id). An entry is written before it happens, and once more, whole and with a higher step, when it is known
-- how it has ended: a stale or repeated row loses.
CREATE TABLE IF NOT EXISTS audit_record
(
    at         DateTime64(3, 'UTC') COMMENT 'of the first request',
    id         String,
    until      DateTime64(3, 'UTC') COMMENT 'of the last request for which the entry stands',
    kind       LowCardinality(String) COMMENT 'act, read, refused or sign-in',
    asked_by   String COMMENT 'id of the key, or who asks without one',
    name       String COMMENT 'label of the key',
    subject    String COMMENT 'the person, as an identity provider names them; empty: not known',
    address    String COMMENT 'of the client; empty: of several, or of nobody over HTTP',
    action     LowCardinality(String) COMMENT 'method and route, or command',
    parameters Map(String, String) COMMENT 'without secrets, and without what is about persons',
    requests   UInt64 COMMENT 'for which the entry stands',
    status     UInt16 COMMENT 'of the answer, the highest of several; 0: not known how it has ended',
    step       UInt32
)
ENGINE = ReplacingMergeTree(step)
PARTITION BY toYYYYMM(at)
ORDER BY (at, id)
TTL toDateTime(at) + INTERVAL 2557 DAY
SETTINGS ttl_only_drop_parts = 1;
