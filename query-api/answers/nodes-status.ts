/** Pure: what GET /v1/status says of the ClickHouse nodes. */
import { Type } from 'typebox';
import { countField, isoOf, isoOrNull, timeField } from '../http/parameters.ts';
import type { NodePosition } from '../log/counted-log.ts';
import type { NodeReport } from '../replicas/known-nodes.ts';
import type { ReplicasChecked } from '../store/replicas/replica-check-store.ts';

/** What this process knows of them. */
export interface StoreNodes {
  readonly list: readonly { readonly name: string; readonly shard: number }[];
  /** Empty: there is one. */
  reports(): readonly NodeReport[];
}

export const NodeStatus = Type.Object(
  {
    node: Type.String({ description: 'its name in the topology' }),
    shard: countField('from 0'),
    state: Type.Enum(['reading', 'ready', 'behind', 'incomplete', 'away'], {
      type: 'string',
      description:
        '`reading`: this process reads it; `ready`: it could; `behind`: further behind the furthest of its shard than REPLICA_MAX_LAG_MS; `incomplete`: it lacks what the log no longer held when it was filled; `away`: it does not answer. The last three are not read',
    }),
    since: Type.Union([timeField('when the state began, as this process has seen it'), Type.Null()], {
      description:
        'when the state began, as this process has seen it; null: there is one node, which is read whatever its state',
    }),
    why: Type.Union([Type.String(), Type.Null()], { description: 'why it is away' }),
    lag_ms: Type.Union([Type.Integer(), Type.Null()], {
      description: 'behind the furthest of its shard; null: further than is known',
    }),
    topics: Type.Array(
      Type.Object(
        {
          topic: Type.String(),
          position: countField('offset of the next record to insert, summed over its partitions'),
          lag_records: countField('records of the log that are not in the node yet'),
        },
        { additionalProperties: false },
      ),
      { description: 'empty: Kafka did not answer' },
    ),
  },
  { additionalProperties: false },
);

export const ReplicasStatus = Type.Object(
  {
    checked_at: Type.Union([timeField('when nodes were last compared'), Type.Null()], {
      description: 'when nodes were last compared; null: not yet',
    }),
    differences: countField(
      'hours of partitions in which nodes of a shard differ: 0 as long as each row is in each of them',
    ),
  },
  { additionalProperties: false },
);

/** Undefined: nothing was said yet. */
export function replicasStatus(found: ReplicasChecked | undefined) {
  return { checked_at: isoOrNull(found?.checkedAt ?? null), differences: found?.differences ?? 0 };
}

export function nodesStatus({ list, reports }: StoreNodes, positions: readonly NodePosition[]) {
  const known = reports();
  return list.map(({ name, shard }) => {
    const report = known.find(({ node }) => node === name);
    const own = positions.filter(({ node }) => node === name);
    const topics = [...new Set(own.map(({ topic }) => topic))].map(topic => {
      const of = own.filter(at => at.topic === topic);
      return {
        topic,
        position: of.reduce((sum, { position }) => sum + position, 0),
        lag_records: of.reduce((sum, { position, end }) => sum + Math.max(0, end - position), 0),
      };
    });
    return {
      node: name,
      shard,
      state: report?.state ?? ('reading' as const),
      since: report === undefined ? null : isoOf(report.since),
      why: report?.why ?? null,
      lag_ms: report === undefined ? 0 : (report.lagMs ?? null),
      topics,
    };
  });
}
