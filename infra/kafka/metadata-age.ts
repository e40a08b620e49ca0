/**
 * How old a kafkajs client's knowledge of its cluster is. A broker that is cut off from the others goes on answering as
 * the leader and coordinator that it was; only who has just asked around does not believe it (metadata-refresh.ts).
 */

/** As far as it is used: the cluster, and what it keeps its metadata in. */
interface Cluster {
  readonly brokerPool?: object;
  refreshMetadata(): Promise<void>;
}

const oldMs = 1_000;
const learnedAtMs = new WeakMap<object, number>();

export function noteLearned(brokerPool: object): void {
  learnedAtMs.set(brokerPool, performance.now());
}

export async function refreshIfOld(cluster: Cluster): Promise<void> {
  const learnedAt = cluster.brokerPool && learnedAtMs.get(cluster.brokerPool);
  if (learnedAt !== undefined && performance.now() - learnedAt > oldMs) await cluster.refreshMetadata();
}
