/**
 * Keeps the age of what a kafkajs client knows about its cluster. A broker that is cut off from the others continues to
 * answer as the leader and coordinator that it was. Only a client that has just asked several brokers does not believe
 * it (metadata-refresh.ts).
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
