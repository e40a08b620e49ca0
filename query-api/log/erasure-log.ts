/** Erasures of persons: writes them into topic `erasures`, and finds which nodes have done them. */

import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { donePartsOf } from '../../infra/clickhouse/erasing.ts';
import { messageOf } from '../../infra/errors.ts';
import { inTime } from '../../infra/in-time.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { createProducer, type Producer } from '../../infra/kafka/producer.ts';
import { topicRetention } from '../../infra/kafka/topic-retention.ts';
import type { Names, TopicName } from '../../infra/topics.ts';
import { type Erasure, mostErasedForms } from '../../ingest/privacy/erasure-book.ts';
import { erasureRecords, formOf } from '../../ingest/privacy/erasure-record.ts';
import type { FollowedErasures } from '../../ingest/privacy/follow-erasures.ts';

/** `away`: the node does not answer, so nobody knows whether it has rows left. */
export interface NodeErasure {
  readonly node: string;
  readonly state: 'running' | 'done' | 'away';
  /** Epoch ms. */
  readonly doneAt: number | undefined;
  readonly why: string | undefined;
}

/** Until when topics with personal data hold what was appended before an erasure, in epoch ms. Undefined: forever. */
export type LogKeptUntil = ReadonlyMap<TopicName, number | undefined>;

export interface ErasureLog {
  /** How many texts may still be erased before older erasures expire, by all that is in the log. @throws Retryable */
  room(): Promise<number>;
  /**
   * Resolves when all in-sync replicas have it and this process knows it. `texts` are those under which the persons may
   * be kept. Not whole when others have used up the room meanwhile.
   * @throws Retryable when it is not known whether it is in the log. It may still be carried out
   */
  begin(texts: readonly string[], persons: number): Promise<Erasure>;
  /** Undefined: there is none, or it was so long ago that nothing of it is kept. @throws Retryable */
  get(id: string): Promise<Erasure | undefined>;
  /** All nodes, also those that do not answer. */
  nodesOf(erasure: Erasure): Promise<readonly NodeErasure[]>;
  /** @throws Retryable */
  logKeptUntil(at: number): Promise<LogKeptUntil>;
}

export interface ErasureLogDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly erasures: Pick<FollowedErasures, 'book' | 'readToEnd'>;
  readonly nodes: readonly { readonly name: string; readonly clickhouse: Pick<ClickHouse, 'query'> }[];
}

export function openErasureLog(deps: ErasureLogDeps): ErasureLog & AsyncDisposable {
  return erasureLogOver(createProducer(deps.kafka, { acks: -1, timeoutMs: 5_000 }), deps);
}

export function erasureLogOver(
  producer: Pick<Producer, 'send' | typeof Symbol.asyncDispose>,
  { kafka, names, erasures, nodes }: ErasureLogDeps,
): ErasureLog & AsyncDisposable {
  const room = async () => {
    await erasures.readToEnd();
    return mostErasedForms - erasures.book.size;
  };
  return {
    room,
    async begin(texts, persons) {
      const { id, records } = erasureRecords([...new Set(texts.map(formOf))], persons);
      // Other processes write, too. So each exceeds the room by one record at most, however many persons are asked for.
      for (const [i, record] of records.entries()) {
        if (i > 0 && (await room()) <= 0) break;
        await producer.send(names.topic('erasures'), [record]);
      }
      await erasures.readToEnd();
      const erasure = erasures.book.get(id);
      if (erasure === undefined) throw new Error(`erasure ${id} is not in topic ${names.topic('erasures')}`);
      return erasure;
    },
    async get(id) {
      const known = erasures.book.get(id);
      // Another process may have written it just now.
      if (known === undefined) await erasures.readToEnd();
      return known ?? erasures.book.get(id);
    },
    nodesOf: async erasure => await Promise.all(nodes.map(node => nodeErasure(node, erasure))),
    async logKeptUntil(at) {
      const retention = await topicRetention(kafka, personalTopics.map(names.topic));
      return new Map(
        personalTopics.map(name => {
          const keptMs = retention.get(names.topic(name));
          return [name, keptMs === undefined ? undefined : at + keptMs];
        }),
      );
    },
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}

/** The topics that contain clicks as they came. */
const personalTopics = ['clicks', 'quarantine'] as const;

async function nodeErasure(
  { name, clickhouse }: ErasureLogDeps['nodes'][number],
  { parts, isWhole }: Erasure,
): Promise<NodeErasure> {
  try {
    const done = await inTime(donePartsOf(clickhouse, { kind: 'operations' }));
    const times = parts.map(part => done.get(part));
    const isDone = isWhole && times.every(time => time !== undefined);
    const doneAt = isDone ? Math.max(...times.map(time => time ?? 0)) : undefined;
    return { node: name, state: isDone ? 'done' : 'running', doneAt, why: undefined };
  } catch (error) {
    return { node: name, state: 'away', doneAt: undefined, why: messageOf(error) };
  }
}
