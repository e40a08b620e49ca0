/** Pure: makes the part of GET /v1/status about the ClickHouse nodes. */
import { Type } from 'typebox';
import { countField, integerOrNullField, isoOf, isoOrNull, timeOrNullField } from '../http/parameters.ts';
import type { NodePosition } from '../log/counted-log.ts';
import type { NodeReport } from '../replicas/known-nodes.ts';
import type { ReplicasChecked } from '../store/replicas/replica-check-store.ts';

/** What this process knows about the nodes. */
export interface StoreNodes {
  readonly list: readonly { readonly name: string; readonly shard: number }[];
  /** Empty when there is only one node, because nothing watches it. */
  reports(): readonly NodeReport[];
}

export const NodeStatus = Type.Object(
  {
    node: Type.String({ description: 'Its name in the topology.' }),
    shard: countField('The number of its shard, from 0.'),
    state: Type.Enum(['reading', 'ready', 'behind', 'incomplete', 'away'], {
      type: 'string',
      description:
        '`reading`: this process reads it. `ready`: this process could read it. `behind`: it is more than REPLICA_MAX_LAG_MS behind the most advanced node of its shard. `incomplete`: when it was filled, the log no longer had all records. `away`: it does not answer. Nodes that are `behind`, `incomplete` or `away` are not read.',
    }),
    since: timeOrNullField(
      'When this process first saw the state. Null: there is only one node, which is read in any state.',
    ),
    why: Type.Union([Type.String(), Type.Null()], { description: 'Why it is away.' }),
    lag_ms: integerOrNullField(
      'How far it is behind the most advanced node of its shard. Null: further than this process can tell.',
    ),
    topics: Type.Array(
      Type.Object(
        {
          topic: Type.String(),
          position: countField('Offset of the next record to insert, summed over its partitions.'),
          lag_records: countField('Records of the log that are not in the node yet.'),
        },
        { additionalProperties: false },
      ),
      { description: 'Empty: Kafka did not answer.' },
    ),
  },
  { additionalProperties: false },
);

export const ReplicasStatus = Type.Object(
  {
    checked_at: timeOrNullField('When nodes were last compared. Null: they have not been compared yet.'),
    differences: countField(
      'How many hours of partitions differ between nodes of a shard. It is 0 as long as every node has every row.',
    ),
  },
  { additionalProperties: false },
);

/** `found` is undefined when nodes have not been compared yet. */
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
