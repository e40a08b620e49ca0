/** Defines the settings of `npm start` itself, in addition to those of the processes that it starts. */
import { type Static, Type } from 'typebox';
import { defaultStartTimeoutMs } from './start-wait.ts';

export const EmbeddedConfig = Type.Object({
  DATA_DIR: Type.String({
    default: './data',
    description: 'where the embedded broker and the embedded ClickHouse keep everything',
  }),
  KAFKA_PORT: Type.Integer({
    default: 9092,
    minimum: 0,
    maximum: 65_535,
    description: 'port of the embedded broker, which always listens on 127.0.0.1; 0: a free one',
  }),
  KAFKA_HEAP_MB: Type.Integer({
    default: 512,
    minimum: 128,
    maximum: 65_536,
    description: "MB of the embedded broker's Java heap",
  }),
  CLICKHOUSE_HTTP_PORT: Type.Integer({
    default: 8123,
    minimum: 0,
    maximum: 65_535,
    description: 'HTTP port of the embedded ClickHouse, which always listens on 127.0.0.1; 0: a free one',
  }),
  CLICKHOUSE_TCP_PORT: Type.Integer({
    default: 9000,
    minimum: 0,
    maximum: 65_535,
    description:
      'port of the embedded ClickHouse for its native protocol, as `clickhouse-client` speaks it; 0: a free one',
  }),
  CLICKHOUSE_MEMORY_MB: Type.Integer({
    default: 4_096,
    minimum: 512,
    maximum: 1_048_576,
    description:
      'MB of memory the embedded ClickHouse may use for everything it does; a statement that wants more fails',
  }),
  PARTITIONS: Type.Integer({
    default: 4,
    minimum: 1,
    maximum: 256,
    description:
      'partitions of each topic where they are created: how far the work can be spread; `adclicks partitions --to` makes them more',
  }),
  AGGREGATORS: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 64,
    description: 'aggregator processes `npm start` runs; they share the partitions',
  }),
  MIN_FREE_DISK_MB: Type.Integer({
    default: 1_024,
    minimum: 0,
    maximum: 1_048_576,
    description: 'MB that must be free under `DATA_DIR` at a start',
  }),
  START_TIMEOUT_MS: Type.Integer({
    default: defaultStartTimeoutMs,
    minimum: 10_000,
    maximum: 86_400_000,
    description:
      'ms that the embedded broker, the embedded ClickHouse, and making topics and tables may each take, as long as they get on; beyond, `npm start` ends and says what was slow. One that has neither CPU time nor a word for 2 minutes is given up before',
  }),
  CHILD_SILENCE_MS: Type.Integer({
    default: 60_000,
    minimum: 2_000,
    maximum: 86_400_000,
    description:
      'ms for which a process `npm start` runs may leave `/healthz` without an answer, once it has answered; beyond, it is killed and started again, also if somebody has stopped it (SIGSTOP)',
  }),
});
export type EmbeddedConfig = Static<typeof EmbeddedConfig>;
