/** What the query APIs say of the nodes. */
import { setTimeout as sleep } from 'node:timers/promises';

interface NamedNode {
  readonly name: string;
}

interface Api {
  readonly url: string;
}

interface NodeState {
  readonly node: string;
  readonly state: string;
  readonly lag_ms: number | null;
}

/** Half of what is put up with. */
const steadyLagMs = 5_000;

/** @throws where it answers anything but a status */
export async function nodeStates({ url }: Api): Promise<readonly NodeState[]> {
  const response = await fetch(`${url}/v1/status`, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return ((await response.json()) as { nodes: NodeState[] }).nodes;
}

/**
 * Resolves, to the ms it took, when every query API reads each of them, or would, and none is about to be too far behind.
 * @throws after a generous time
 */
export async function untilRead(
  apis: readonly Api[],
  nodes: readonly NamedNode[],
  timeoutMs = 180_000,
): Promise<number> {
  const from = Date.now();
  for (let last = ''; ; await sleep(150)) {
    const all = await Promise.all(apis.map(nodeStates)).catch(error => {
      last = String(error);
    });
    if (all !== undefined) {
      const wanted = all.flatMap(states => states.filter(({ node }) => nodes.some(({ name }) => name === node)));
      if (wanted.length === apis.length * nodes.length && wanted.every(isRead)) return Date.now() - from;
      last = JSON.stringify(all);
    }
    if (Date.now() - from > timeoutMs)
      throw new Error(
        `${nodes.map(({ name }) => name)} not read within ${timeoutMs / 1_000} s: ${last.slice(0, 2_000)}`,
      );
  }
}

/** Until it is stopped: how far any of these nodes was behind at most, ms, as long as it was known. */
export function watchLags(apis: readonly Api[], nodes: readonly NamedNode[]) {
  let [most, isOver] = [0, false];
  const running = (async () => {
    while (!isOver) {
      const all = await Promise.all(apis.map(nodeStates)).catch(() => []);
      for (const { node, state, lag_ms } of all.flat())
        if (state !== 'away' && nodes.some(({ name }) => name === node)) most = Math.max(most, lag_ms ?? 0);
      await sleep(500);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await running;
      return most;
    },
  };
}

function isRead({ state, lag_ms }: NodeState): boolean {
  return (state === 'reading' || state === 'ready') && (lag_ms ?? Number.POSITIVE_INFINITY) <= steadyLagMs;
}
