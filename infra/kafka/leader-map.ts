/**
 * Remembers the leader of each partition, as far as it is known. It asks again when it is told to: one question at a
 * time for each topic, and at most once per `leastPauseMs`. It asks for unknown leaders by itself.
 */
import type { BrokerRequests, NodeId, TopicPartition } from './broker-requests.ts';

const leastPauseMs = 100;

interface Topic {
  leaders: ReadonlyMap<number, NodeId>;
  asking: boolean;
  askedAtMs: number;
}

export class LeaderMap {
  /** The error of the last question that was not answered. */
  lastError: unknown;
  readonly #requests: Pick<BrokerRequests, 'leaders'>;
  readonly #onNews: () => void;
  readonly #topics = new Map<string, Topic>();

  /** `onNews` is called after each answer. */
  constructor(requests: Pick<BrokerRequests, 'leaders'>, onNews: () => void) {
    this.#requests = requests;
    this.#onNews = onNews;
  }

  /** Returns undefined when the partition has no leader, or none is known. Then the leader is asked for. */
  of({ topic, partition }: TopicPartition): NodeId | undefined {
    const leader = this.#topics.get(topic)?.leaders.get(partition);
    if (leader === undefined) this.refresh(topic);
    return leader;
  }

  refresh(name: string): void {
    const topic = this.#topics.get(name) ?? { leaders: new Map(), asking: false, askedAtMs: Number.NEGATIVE_INFINITY };
    this.#topics.set(name, topic);
    if (topic.asking || performance.now() - topic.askedAtMs < leastPauseMs) return;
    topic.asking = true;
    topic.askedAtMs = performance.now();
    this.#requests
      .leaders(name)
      .then(
        leaders => {
          topic.leaders = leaders;
          this.lastError = undefined;
        },
        error => {
          this.lastError = error;
        },
      )
      .finally(() => {
        topic.asking = false;
        this.#onNews();
      });
  }
}
