/** The rounds on several ClickHouse nodes. */
export interface NodesRound {
  readonly name: string;
  readonly shards: number;
  readonly replicas: number;
  /** `kill -9` of nodes, one of a shard at a time, while reads must go on. */
  readonly kills: number;
  /** `kill -9` of nodes whatever the others are doing: reads may be refused. */
  readonly wildKills: number;
  /** `kill -9` of sinks while a node is away. */
  readonly sinkKills: number;
  /** One node is away for so long. */
  readonly awayMs: number;
  /** One node's disk is full for so long; 0: not. Needs the right to mount a tmpfs. */
  readonly diskFullMs: number;
  /** A node is stopped (SIGSTOP) so often, for 5 to 20 s each. */
  readonly pauses: number;
  /** Each shard is without any node for so long. */
  readonly darkMs: number;
  /** No sink runs for so long, which is longer than a replica may be behind. */
  readonly sinklessMs: number;
  /** So many nodes lose their directory. */
  readonly rebuilds: number;
  /** Clients that post. */
  readonly clients: number;
  readonly longestStormMs: number;
}

export const nodesRounds: readonly NodesRound[] = [
  {
    ...{ name: 'nodes', shards: 2, replicas: 2 },
    ...{ kills: 60, wildKills: 8, sinkKills: 12, pauses: 4, rebuilds: 2 },
    ...{
      awayMs: 60_000,
      diskFullMs: 25_000,
      sinklessMs: 20_000,
      darkMs: 12_000,
      clients: 4,
      longestStormMs: 10 * 60_000,
    },
  },
  {
    ...{ name: 'nodes short', shards: 2, replicas: 2 },
    ...{ kills: 4, wildKills: 0, sinkKills: 2, pauses: 1, rebuilds: 1 },
    ...{ awayMs: 12_000, diskFullMs: 0, sinklessMs: 15_000, darkMs: 6_000, clients: 2, longestStormMs: 4 * 60_000 },
  },
];

/** `1x2`: one shard of two replicas. */
export function withTopology(round: NodesRound, text: string): NodesRound {
  if (text === '') return round;
  const [, shards, replicas] = /^([1-4])x([2-4])$/.exec(text) ?? [];
  if (shards === undefined) throw new Error(`--topology ${text}: must be shards x replicas, such as 2x2`);
  return { ...round, shards: Number(shards), replicas: Number(replicas) };
}
