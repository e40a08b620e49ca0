/** Defines the settings of the aggregator and of the sink. */
import { type Static, Type } from 'typebox';
import { ClickHouseConfig, KafkaConfig, ProcessConfig } from '../infra/config.ts';
import { HotAdConfig } from '../ingest/hot-ads/rule.ts';

export const AggregatorConfig = Type.Object({
  ...ProcessConfig.properties,
  ...KafkaConfig.properties,
  ...HotAdConfig.properties,
  AGGREGATOR_PORT: Type.Integer({
    default: 8082,
    minimum: 0,
    maximum: 65535,
    description: 'port of the aggregator’s health and metrics; the n-th of several takes the n-th port from here',
  }),
  AGGREGATOR_GUARANTEE: Type.Union([Type.Literal('exactly_once'), Type.Literal('at_least_once')], {
    default: 'exactly_once',
    description:
      '`exactly_once`: offsets and rows in one Kafka transaction; `at_least_once`: rows, then offsets (repeats are absorbed by the rows’ version)',
  }),
  OUT_OF_ORDERNESS_MS: Type.Integer({
    default: 15_000,
    minimum: 0,
    maximum: 3_600_000,
    description: 'ms by which clicks may arrive out of order before a minute closes',
  }),
  ALLOWED_LATENESS_MS: Type.Integer({
    default: 60_000,
    minimum: 0,
    maximum: 3_600_000,
    description: 'ms after a minute closes during which late clicks still count; then it is final',
  }),
  TICK_INTERVAL_MS: Type.Integer({
    default: 5_000,
    minimum: 100,
    maximum: 60_000,
    description:
      'ms without progress of event time after which a partition read to its end gets a tick; where no minute is open, when one ends, and in between after six times as long, but at most 30 s',
  }),
  COMMIT_INTERVAL_MS: Type.Integer({
    default: 500,
    minimum: 50,
    maximum: 5_000,
    description: 'ms between two commits of a partition while few clicks come: how soon counts become visible',
  }),
  COMMIT_MAX_INTERVAL_MS: Type.Integer({
    default: 2_000,
    minimum: 50,
    maximum: 5_000,
    description:
      'the most that grows to with the clicks counted (10 µs each), or while a fetch does not reach the end of the log; never less than that',
  }),
  COMMIT_MAX_LINES: Type.Integer({
    default: 1_000_000,
    minimum: 1,
    maximum: 10_000_000,
    description: 'clicks after which a partition commits earlier than either',
  }),
  AGGREGATOR_SESSION_TIMEOUT_MS: Type.Integer({
    default: 6_000,
    minimum: 1_000,
    maximum: 300_000,
    description: 'ms of silence after which an aggregator’s partitions move to another',
  }),
  AGGREGATOR_FETCH_BYTES: Type.Integer({
    default: 8 << 20,
    minimum: 64 << 10,
    maximum: 64 << 20,
    description: 'bytes per partition and fetch; four times that for all of them',
  }),
  AGGREGATOR_WITHOUT_COMMIT: Type.Union([Type.Literal('fail'), Type.Literal('earliest')], {
    default: 'fail',
    description:
      'a partition whose log no longer begins at 0 and that has no committed offset: `fail` (alarm) or count from `earliest`',
  }),
});
export type AggregatorConfig = Static<typeof AggregatorConfig>;

export const SinkConfig = Type.Object({
  ...ProcessConfig.properties,
  ...KafkaConfig.properties,
  ...HotAdConfig.properties,
  ...ClickHouseConfig.properties,
  SINK_PORT: Type.Integer({
    default: 8083,
    minimum: 0,
    maximum: 65535,
    description: 'port of the sink’s health and metrics',
  }),
  SINK_NODES: Type.String({
    default: '',
    description:
      'names of the ClickHouse nodes that this sink fills, comma-separated (`host:port`, unless the topology names them); empty: all',
  }),
  SINK_LINGER_MS: Type.Integer({
    default: 50,
    minimum: 0,
    maximum: 10_000,
    description: 'ms the sink waits for more rows before it inserts',
  }),
  SINK_RAW_INTERVAL_MS: Type.Integer({
    default: 2_000,
    minimum: 0,
    maximum: 5_000,
    description:
      'ms from insert to insert of raw clicks while the sink keeps up: longer makes larger pieces, which are merged fewer times',
  }),
  SINK_MAX_BATCH_BYTES: Type.Integer({
    default: 32 << 20,
    minimum: 256 << 10,
    maximum: 64 << 20,
    description: 'bytes of rows that are fetched at once, and inserted without waiting',
  }),
  SINK_SESSION_TIMEOUT_MS: Type.Integer({
    default: 30_000,
    minimum: 6_000,
    maximum: 300_000,
    description: 'ms of silence after which a sink’s partitions move to another',
  }),
});
export type SinkConfig = Static<typeof SinkConfig>;
