/** Metrics of the ClickHouse nodes. */
import { counter, gauge } from '../../infra/metrics.ts';

export const failovers = counter('query_failovers_total', 'Reads that were repeated on another ClickHouse node', [
  'from',
]);
export const nodeAway = gauge('clickhouse_node_away', '1 if the ClickHouse node does not answer this process', [
  'node',
]);
export const nodeUnread = gauge(
  'clickhouse_node_unread',
  '1 if the ClickHouse node is not read, because it is away, behind or incomplete',
  ['node'],
);
export const nodeLag = gauge(
  'clickhouse_node_lag_seconds',
  'How far the ClickHouse node is behind the furthest node of its shard. +Inf if that is more than is known',
  ['node'],
);
export const differences = gauge(
  'replica_differences',
  'Number of hours of partitions in which the ClickHouse nodes of a shard differ, as found so far',
  ['table'],
);
export const checkedAt = gauge(
  'replica_checked_timestamp_seconds',
  'Time of the last comparison of replicas; until the first one of a term, the time at which the term began',
);
