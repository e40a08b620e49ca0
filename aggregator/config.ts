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
    description:
      'port of the aggregator’s health and metrics; if `npm start` runs several aggregators, they use the ports from here on',
  }),
  AGGREGATOR_GUARANTEE: Type.Union([Type.Literal('exactly_once'), Type.Literal('at_least_once')], {
    default: 'exactly_once',
    description:
      '`exactly_once`: offsets and rows are written in one Kafka transaction. `at_least_once`: rows are written first and offsets after them; repeated rows replace themselves by their version',
  }),
  OUT_OF_ORDERNESS_MS: Type.Integer({
    default: 15_000,
    minimum: 0,
    maximum: 3_600_000,
    description: 'milliseconds by which clicks may arrive out of order before a minute closes',
  }),
  ALLOWED_LATENESS_MS: Type.Integer({
    default: 60_000,
    minimum: 0,
    maximum: 3_600_000,
    description:
      'milliseconds after a minute closes during which late clicks still count. After that, the minute is final',
  }),
  TICK_INTERVAL_MS: Type.Integer({
    default: 5_000,
    minimum: 100,
    maximum: 60_000,
    description:
      'milliseconds without progress of event time after which a partition that is read to its end gets a tick. A partition without an open minute gets one when a minute ends, and otherwise after six times as long, but at most 30 s',
  }),
  COMMIT_INTERVAL_MS: Type.Integer({
    default: 500,
    minimum: 50,
    maximum: 5_000,
    description:
      'milliseconds between two commits of a partition while few clicks come in, and so how soon counts become visible',
  }),
  COMMIT_MAX_INTERVAL_MS: Type.Integer({
    default: 2_000,
    minimum: 50,
    maximum: 5_000,
    description:
      'the most milliseconds to which COMMIT_INTERVAL_MS grows: by 10 µs for each counted click, and to this value while a fetch does not reach the end of the log. A value below COMMIT_INTERVAL_MS counts as COMMIT_INTERVAL_MS',
  }),
  COMMIT_MAX_LINES: Type.Integer({
    default: 1_000_000,
    minimum: 1,
    maximum: 10_000_000,
    description: 'number of clicks after which a partition commits, even if neither interval is over',
  }),
  AGGREGATOR_SESSION_TIMEOUT_MS: Type.Integer({
    default: 6_000,
    minimum: 1_000,
    maximum: 300_000,
    description: 'milliseconds without a sign of life after which the partitions of an aggregator move to another one',
  }),
  AGGREGATOR_FETCH_BYTES: Type.Integer({
    default: 8 << 20,
    minimum: 64 << 10,
    maximum: 64 << 20,
    description: 'bytes of one fetch per partition; a fetch of all partitions together may have four times as many',
  }),
  AGGREGATOR_WITHOUT_COMMIT: Type.Union([Type.Literal('fail'), Type.Literal('earliest')], {
    default: 'fail',
    description:
      'what to do with a partition that has no committed offset and whose log no longer begins at offset 0: `fail` (stop and raise an alert) or count from the `earliest` offset',
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
      'names of the ClickHouse nodes that this sink fills, separated by commas (`host:port`, unless the topology gives them names); empty means all nodes',
  }),
  SINK_LINGER_MS: Type.Integer({
    default: 50,
    minimum: 0,
    maximum: 10_000,
    description: 'milliseconds that the sink waits for more rows before it inserts',
  }),
  SINK_RAW_INTERVAL_MS: Type.Integer({
    default: 2_000,
    minimum: 0,
    maximum: 5_000,
    description:
      'milliseconds from one insert of raw clicks to the next while the sink keeps up. A longer time makes larger parts, which are merged fewer times',
  }),
  SINK_MAX_BATCH_BYTES: Type.Integer({
    default: 32 << 20,
    minimum: 256 << 10,
    maximum: 64 << 20,
    description: 'bytes of rows that are fetched at once; this many rows are inserted without waiting for more',
  }),
  SINK_ERASURE_SETTLE_MS: Type.Integer({
    default: 120_000,
    minimum: 0,
    maximum: 3_600_000,
    description:
      'milliseconds after which an erasure of a person is known to every process that inserts rows, and no insert is under way that began before. Until then a node does not say that it has no row of the person any more',
  }),
  SINK_SESSION_TIMEOUT_MS: Type.Integer({
    default: 30_000,
    minimum: 6_000,
    maximum: 300_000,
    description: 'milliseconds without a sign of life after which the partitions of a sink move to another one',
  }),
});
export type SinkConfig = Static<typeof SinkConfig>;
