/**
 * What people build who need no pipeline of ours: ClickHouse reads the topic itself (table engine `Kafka`), and two
 * materialized views make raw clicks and counts per minute, ad and country of what it reads. The statements are those of
 * the documentation, with what somebody would set who cares: as many consumers as cores, each with a thread of its own,
 * lines that cannot be parsed kept apart rather than blocking the topic, columns, order and codecs as in our own tables.
 */

/** How copies of a click are dealt with: not, or by the set of their ids. `uniq` is ClickHouse's estimate. */
export const idStates = { count: undefined, uniq: 'uniq', uniqExact: 'uniqExact' } as const;
export type Ids = keyof typeof idStates;

export interface KafkaEngineOptions {
  readonly brokers: string;
  readonly topic: string;
  readonly group: string;
  readonly consumers: number;
  /** Rows of a block, which is inserted as one. */
  readonly blockRows: number;
  readonly ids: Ids;
}

/** In the order in which they must be made: reading begins with the first view. */
export function kafkaEngineTables({ brokers, topic, group, consumers, blockRows, ids }: KafkaEngineOptions): string[] {
  const state = idStates[ids];
  return [
    `CREATE TABLE engine_raw
(
    click_id    String CODEC(ZSTD),
    event_id    String CODEC(ZSTD),
    ad_id       String CODEC(ZSTD),
    clicked_at  DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    received_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    country     LowCardinality(String),
    user_id     String CODEC(ZSTD),
    ip          String CODEC(ZSTD)
)
ENGINE = MergeTree
PARTITION BY toDate(clicked_at)
ORDER BY (toStartOfMinute(clicked_at), ad_id, click_id)`,

    `CREATE TABLE engine_ad_minute
(
    minute  DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    ad_id   String CODEC(ZSTD),
    country LowCardinality(String),
    clicks  SimpleAggregateFunction(sum, UInt64)${state === undefined ? '' : `,\n    ids     AggregateFunction(${state}, String)`}
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(minute)
ORDER BY (minute, ad_id, country)`,

    `CREATE TABLE engine_refused (at DateTime, error String, message String) ENGINE = MergeTree ORDER BY at`,

    `CREATE TABLE engine_clicks
(
    click_id    String,
    event_id    String,
    ad_id       String,
    clicked_at  DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    country     LowCardinality(String),
    user_id     String,
    ip          String
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '${brokers}',
    kafka_topic_list = '${topic}',
    kafka_group_name = '${group}',
    kafka_format = 'JSONEachRow',
    kafka_num_consumers = ${consumers},
    kafka_thread_per_consumer = 1,
    kafka_max_block_size = ${blockRows},
    kafka_handle_error_mode = 'stream'`,

    `CREATE MATERIALIZED VIEW engine_to_refused TO engine_refused
AS SELECT now() AS at, _error AS error, _raw_message AS message FROM engine_clicks WHERE _error != ''`,

    `CREATE MATERIALIZED VIEW engine_to_ad_minute TO engine_ad_minute
AS SELECT
    toStartOfMinute(clicked_at) AS minute,
    ad_id,
    country,
    count() AS clicks${state === undefined ? '' : `,\n    ${state}State(event_id) AS ids`}
FROM engine_clicks
WHERE _error = ''
GROUP BY minute, ad_id, country`,

    `CREATE MATERIALIZED VIEW engine_to_raw TO engine_raw
AS SELECT click_id, event_id, ad_id, clicked_at, received_at, country, user_id, ip
FROM engine_clicks
WHERE _error = ''`,
  ];
}

/** Rows `{cell, count, distinct}` of every ad and minute. */
export function engineCellsSql(ids: Ids): string {
  const state = idStates[ids];
  return `SELECT concat(ad_id, '|', toString(intDiv(toUnixTimestamp(minute), 60))) AS cell, sum(clicks) AS count,
      ${state === undefined ? 'sum(clicks)' : `${state}Merge(ids)`} AS distinct
    FROM engine_ad_minute GROUP BY ad_id, minute`;
}
