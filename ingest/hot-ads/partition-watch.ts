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
  const { kafka, names, log, recorded, isRead, intervalMs = 10_000 } = deps;
  const topics = openTopicPartitions(kafka, countedTopics.map(names.topic));
  const closing = new AbortController();
  let counts: TopicCounts | undefined;
  let difference: string | undefined;
  let said: string | undefined;
  let lookNow = new AbortController();

  const differs = () => (counts && isRead() ? differenceOf(counts, recorded()) : undefined);
  const say = () => {
    const news = difference ?? (counts && surplusOf(counts, recorded()));
    if (news !== said && news !== undefined) log[difference ? 'error' : 'warn'](news);
    said = news;
  };
  /**
   * The record may be newer than the last look at the brokers. Then the brokers are asked again before anything is
   * refused.
   */
  const compare = () => {
    recordedPartitions.set(recorded() ?? 0);
    if (counts === undefined) return;
    if (!judged && isRead()) lookNow.abort();
    if (differs() === undefined) difference = undefined;
    else if (difference === undefined) lookNow.abort();
    say();
  };
  let judged = false;
  let doubts = 0;
  const look = async () => {
    const found = await topics.counts();
    counts = new Map(countedTopics.map(name => [name, found.get(names.topic(name)) ?? 0]));
    for (const [topic, count] of counts) topicPartitions.set({ topic }, count);
    if (!isRead()) return;
    const doubt = differs();
    doubts = doubt === undefined ? 0 : doubts + 1;
    // One broker may not yet know what another one has reported. At its start, a process routes nothing before it is
    // certain.
    if (doubt === undefined || !judged || doubts >= looksBeforeRefusal) difference = doubt;
    judged = true;
    say();
  };
  const watch = async () => {
    while (!closing.signal.aborted) {
      lookNow = new AbortController();
      const looked = await look().then(
        () => true,
        error => {
          if (!closing.signal.aborted) log.warn({ why: messageOf(error) }, 'partitions: the topics were not asked');
          return false;
        },
      );
      // Nothing can be judged before the record is read, and whoever reads it tells (`compare`).
      const isSettled = looked && doubts === 0 && (judged || !isRead());
      const pauseMs = isSettled ? intervalMs : shortPauseMs;
      const signal = AbortSignal.any([closing.signal, lookNow.signal]);
      await pause(pauseMs, signal);
    }
  };
  const watching = watch();
  return {
    get isJudged() {
      return judged;
    },
    get counts() {
      return counts;
    },
    get difference() {
      return difference;
    },
    compare,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await topics[Symbol.asyncDispose]();
      await watching;
    },
  };
}

const shortPauseMs = 500;
const looksBeforeRefusal = 3;

const topicPartitions = gauge('topic_partitions', 'Partitions of a topic, as the brokers say', ['topic']);
const recordedPartitions = gauge(
  'recorded_partitions',
  'Partitions over which clicks are spread, as recorded, or announced for a minute to come; 0: nothing is recorded',
);
