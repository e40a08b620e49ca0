import { describe, expect, it } from 'vitest';
import { Retryable } from '../../../../infra/errors.ts';
import type { NodePosition } from '../../../../query-api/log/counted-log.ts';
import { jobTopics } from '../../../../query-api/log/node-positions.ts';
import { turnsOn } from '../../../../query-api/replicas/turns.ts';

/** Two nodes. `read` is the one that is read, and `at` says how far each is in the topics of jobs and people. */
function world(withinMs = 30_000) {
  const state = { read: 'a', end: 10, at: { a: 10, b: 10 } as Record<string, number>, asked: 0 };
  const nodePositions = async (): Promise<NodePosition[]> => {
    state.asked++;
    return ['a', 'b'].flatMap(node => [
      ...jobTopics.map(topicName => {
        const position = topicName === 'seals' ? (state.at[node] ?? 0) : state.end;
        return {
          ...{ node, group: 'g', topic: topicName, topicName, partition: 0 },
          from: 0,
          position,
          end: state.end,
        };
      }),
      // Clicks come all the time, so their sink is always behind.
      {
        ...{ node, group: 'g', topic: 'clicks', topicName: 'clicks' as const, partition: 0 },
        from: 0,
        position: 1,
        end: 9,
      },
    ]);
  };
  const replicas = {
    areSeveral: true,
    nodes: () => [{ name: state.read }],
    reading: <T>(work: () => Promise<T>) => work(),
  };
  const turns = turnsOn({ replicas, countedLog: { nodePositions }, patience: { withinMs, pollMs: 1 } });
  return { state, turns, replicas };
}
const later = (work: () => void) => setTimeout(work, 10);

describe('a turn', () => {
  it('begins on a node that has everything that jobs and people have written', async () => {
    const { state, turns } = world();
    state.at['a'] = 7;
    later(() => {
      state.at['a'] = 10;
    });
    expect(await turns(async () => state.at['a'])).toBe(10);
  });

  it('waits on a new node also for rows that another node has shown', async () => {
    const { state, turns } = world();
    await turns(async () => undefined);
    state.read = 'b';
    state.end = 12;
    state.at['b'] = 10;
    later(() => {
      state.at['b'] = 12;
    });
    expect(await turns(async () => state.at['b'])).toBe(12);
  });

  it('waits again on a node that was left for another one', async () => {
    const { state, turns } = world();
    for (const node of ['a', 'b']) {
      state.read = node;
      await turns(async () => undefined);
    }
    state.end = 12;
    state.read = 'a';
    later(() => {
      state.at['a'] = 12;
    });
    expect(await turns(async () => state.at['a'])).toBe(12);
  });

  it('does not begin on a node that stays behind, and the next turn looks again', async () => {
    const { state, turns } = world(50);
    state.at['a'] = 7;
    let begun = 0;
    const turn = async () => ++begun;
    await expect(turns(turn)).rejects.toThrow(
      /what jobs and people wrote before, for a, is in the log, but not in ClickHouse/,
    );
    await expect(turns(turn)).rejects.toThrow(Retryable);
    expect(begun).toBe(0);
  });

  it('asks Kafka nothing while it stays on its node, or when there is a single node', async () => {
    const { state, turns, replicas } = world();
    await turns(async () => undefined);
    const { asked } = state;
    for (let i = 0; i < 3; i++) await turns(async () => undefined);
    await turnsOn({ replicas: { ...replicas, areSeveral: false }, countedLog: {} })(async () => undefined);
    expect(state.asked).toBe(asked);
  });

  it('does not begin while nothing is known about the sink of its node', async () => {
    const { replicas } = world();
    const turns = turnsOn({ replicas, countedLog: { nodePositions: async () => [] } });
    await expect(turns(async () => 'begun')).rejects.toThrow(Retryable);
  });
});
