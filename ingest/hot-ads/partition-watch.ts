/**
 * Asks the brokers from time to time how many partitions the topics have, and compares that with the recorded number.
 * Anybody may change it at any time with Kafka's own tools, so this continues as long as the process runs.
 */

import { messageOf } from '../../infra/errors.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { openTopicPartitions } from '../../infra/kafka/topic-partitions.ts';
import type { Logger } from '../../infra/log.ts';
import { gauge } from '../../infra/metrics.ts';
import { pause } from '../../infra/pause.ts';
import type { Names } from '../../infra/topics.ts';
import { countedTopics, differenceOf, surplusOf, type TopicCounts } from './partition-comparison.ts';

export interface PartitionWatchDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly log: Logger;
  /** The highest number that is in force or announced, or undefined when none is recorded. */
  readonly recorded: () => number | undefined;
  /** Whether the record was read to the end that it had. Before that, nothing is judged. */
  readonly isRead: () => boolean;
  readonly intervalMs?: number;
}

export interface PartitionWatch extends AsyncDisposable {
  /** Whether topics and record have been compared. */
  readonly isJudged: boolean;
  /** The brokers' last answer, or undefined when they have not answered yet. */
  readonly counts: TopicCounts | undefined;
  /** Why nothing may be routed or counted, by what is known now, or undefined. */
  readonly difference: string | undefined;
  /** Compares again, because more is recorded. */
  compare(): void;
}

export function watchPartitions(deps: PartitionWatchDeps): PartitionWatch {
  const { kafka, names, log, isRead, intervalMs = 10_000 } = deps;
  const topics = openTopicPartitions(kafka, countedTopics.map(names.topic));
  const closing = new AbortController();
  let lookNow = new AbortController();
  const judgement = createJudgement({ ...deps, lookAgain: () => lookNow.abort() });

  const look = async (): Promise<boolean> => {
    try {
      const found = await topics.counts();
      judgement.judge(new Map(countedTopics.map(name => [name, found.get(names.topic(name)) ?? 0])));
      return true;
    } catch (error) {
      if (!closing.signal.aborted)
        log.warn({ why: messageOf(error) }, 'partitions: the brokers could not be asked about the topics');
      return false;
    }
  };
  const watch = async () => {
    while (!closing.signal.aborted) {
      lookNow = new AbortController();
      const looked = await look();
      // Nothing can be judged before the record is read. Whoever reads it then calls `compare`.
      const isSettled = looked && !judgement.isInDoubt && (judgement.isJudged || !isRead());
      const signal = AbortSignal.any([closing.signal, lookNow.signal]);
      await pause(isSettled ? intervalMs : shortPauseMs, signal);
    }
  };
  const watching = watch();
  return {
    get isJudged() {
      return judgement.isJudged;
    },
    get counts() {
      return judgement.counts;
    },
    get difference() {
      return judgement.difference;
    },
    compare: judgement.compare,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await topics[Symbol.asyncDispose]();
      await watching;
    },
  };
}

interface Judgement extends Omit<PartitionWatch, keyof AsyncDisposable> {
  /** Whether the last look at the brokers differed from the record. */
  readonly isInDoubt: boolean;
  /** Takes what the brokers have just said. */
  judge(counts: TopicCounts): void;
}

/** `lookAgain` asks the brokers at once. */
function createJudgement({
  recorded,
  isRead,
  log,
  lookAgain,
}: Pick<PartitionWatchDeps, 'recorded' | 'isRead' | 'log'> & { readonly lookAgain: () => void }): Judgement {
  let counts: TopicCounts | undefined;
  let difference: string | undefined;
  let said: string | undefined;
  let isJudged = false;
  let doubts = 0;

  const differs = () => (counts && isRead() ? differenceOf(counts, recorded()) : undefined);
  const say = () => {
    const news = difference ?? (counts && surplusOf(counts, recorded()));
    if (news !== said && news !== undefined) log[difference ? 'error' : 'warn'](news);
    said = news;
  };
  return {
    get isJudged() {
      return isJudged;
    },
    get counts() {
      return counts;
    },
    get difference() {
      return difference;
    },
    get isInDoubt() {
      return doubts > 0;
    },
    judge(asked) {
      counts = asked;
      for (const [topic, count] of counts) topicPartitions.set({ topic }, count);
      if (!isRead()) return;
      const doubt = differs();
      doubts = doubt === undefined ? 0 : doubts + 1;
      // One broker may not yet know what another one has reported. At its start, a process routes nothing before it is
      // certain.
      if (doubt === undefined || !isJudged || doubts >= looksBeforeRefusal) difference = doubt;
      isJudged = true;
      say();
    },
    /**
     * The record may be newer than the last look at the brokers. Then the brokers are asked again before anything is
     * refused.
     */
    compare() {
      recordedPartitions.set(recorded() ?? 0);
      if (counts === undefined) return;
      if (!isJudged && isRead()) lookAgain();
      if (differs() === undefined) difference = undefined;
      else if (difference === undefined) lookAgain();
      say();
    },
  };
}

const shortPauseMs = 500;
const looksBeforeRefusal = 3;

const topicPartitions = gauge('topic_partitions', 'Number of partitions of a topic, as the brokers report it', [
  'topic',
]);
const recordedPartitions = gauge(
  'recorded_partitions',
  'Number of partitions over which clicks are spread, as recorded or as announced for a coming minute; 0 if no number is recorded',
);
