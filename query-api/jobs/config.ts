/** Defines the settings of the job runner. The table of settings in query-api/README.md is generated from here. */
import { type Static, Type } from 'typebox';
import { ClickHouseConfig, KafkaConfig, ProcessConfig } from '../../infra/config.ts';
import { HotAdConfig } from '../../ingest/hot-ads/rule.ts';
import { QueryApiConfig } from '../config.ts';

export const JobsConfig = Type.Object({
  ...ProcessConfig.properties,
  ...KafkaConfig.properties,
  ...HotAdConfig.properties,
  ...ClickHouseConfig.properties,
  QUERY_TIMEOUT_MS: QueryApiConfig.properties.QUERY_TIMEOUT_MS,
  REPLICA_MAX_LAG_MS: QueryApiConfig.properties.REPLICA_MAX_LAG_MS,
  JOBS_PORT: Type.Integer({
    default: 8084,
    minimum: 0,
    maximum: 65_535,
    description: 'port on which the job runner answers `/healthz`, `/readyz` and `/metrics`; 0 takes a free port',
  }),
  JOBS_SESSION_TIMEOUT_MS: Type.Integer({
    default: 6_000,
    minimum: 1_000,
    maximum: 300_000,
    description:
      'ms without a heartbeat after which another job runner takes over; brokers accept no less than their `group.min.session.timeout.ms`',
  }),
  CONSERVATION_INTERVAL_MS: Type.Integer({
    default: 60_000,
    minimum: 1_000,
    maximum: 3_600_000,
    description: 'ms between two comparisons of the rows in ClickHouse with the aggregators’ counters',
  }),
  REPLICA_CHECK_INTERVAL_MS: Type.Integer({
    default: 60_000,
    minimum: 1_000,
    maximum: 86_400_000,
    description: 'ms between two comparisons of the ClickHouse nodes of each shard; each compares a few hours of data',
  }),
  RECONCILE_REPAIR: Type.Boolean({
    default: false,
    description: 'restate, from raw clicks, minutes in which a reconciliation has found drift',
  }),
});
export type JobsConfig = Static<typeof JobsConfig>;
