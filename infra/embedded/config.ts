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
    description: 'port of the embedded broker, which always listens on 127.0.0.1; 0 chooses a free port',
  }),
  KAFKA_HEAP_MB: Type.Integer({
    default: 512,
    minimum: 128,
    maximum: 65_536,
    description: "size of the embedded broker's Java heap in MB",
  }),
  CLICKHOUSE_HTTP_PORT: Type.Integer({
    default: 8123,
    minimum: 0,
    maximum: 65_535,
    description: 'HTTP port of the embedded ClickHouse, which always listens on 127.0.0.1; 0 chooses a free port',
  }),
  CLICKHOUSE_TCP_PORT: Type.Integer({
    default: 9000,
    minimum: 0,
    maximum: 65_535,
    description:
      'port of the embedded ClickHouse for its native protocol, which `clickhouse-client` uses; 0 chooses a free port',
  }),
  CLICKHOUSE_MEMORY_MB: Type.Integer({
    default: 4_096,
    minimum: 512,
    maximum: 1_048_576,
    description: 'MB of memory that the embedded ClickHouse may use in total; a statement that needs more fails',
  }),
  PARTITIONS: Type.Integer({
    default: 4,
    minimum: 1,
    maximum: 256,
    description:
      'number of partitions with which each topic is created. It limits over how many processes the work can be spread; `adclicks partitions --to` increases it later',
  }),
  AGGREGATORS: Type.Integer({
    default: 1,
    minimum: 1,
    maximum: 64,
    description: 'number of aggregator processes that `npm start` runs; they share the partitions',
  }),
  MIN_FREE_DISK_MB: Type.Integer({
    default: 1_024,
    minimum: 0,
    maximum: 1_048_576,
    description: 'MB that must be free under `DATA_DIR` at the start',
  }),
  START_TIMEOUT_MS: Type.Integer({
    default: defaultStartTimeoutMs,
    minimum: 10_000,
    maximum: 86_400_000,
    description:
      'milliseconds that the start of the embedded broker, the start of the embedded ClickHouse, and the creation of topics and tables may each take while they make progress. After that, `npm start` ends and says what was slow. It gives up earlier if one of them uses no CPU time and logs nothing for 2 minutes',
  }),
  CHILD_SILENCE_MS: Type.Integer({
    default: 60_000,
    minimum: 2_000,
    maximum: 86_400_000,
    description:
      'milliseconds for which a process of `npm start` that has once answered `/healthz` may leave it unanswered. After that, it is killed and started again, even if somebody has paused it (SIGSTOP)',
  }),
});
export type EmbeddedConfig = Static<typeof EmbeddedConfig>;
