/** The questions to Kafka: where the log of clicks ends, and how far the store has followed it. */
import type { TopicName } from '../../infra/topics.ts';

export interface CountedLog {
  /** Returns the end of each partition of topic `clicks`, up to which it is counted and copied, whatever transactions are open. */
  endOffsets(): Promise<ReadonlyMap<number, number>>;
  /** Returns the positions of the sinks of the nodes that are read here, by group, topic and partition. */
  sinkPositions(): Promise<readonly SinkPosition[]>;
  /** Returns where topics end that sinks read up to the first open transaction, with what is behind it. */
  highWatermarks?(): Promise<HighWatermarks>;
  /** Returns the positions of all ClickHouse nodes. Left out for a single node of which it is not known what it lacks. */
  nodePositions?(): Promise<readonly NodePosition[]>;
}

/** By the topic's name and the partition. */
export type HighWatermarks = ReadonlyMap<string, ReadonlyMap<number, number>>;

export interface RawLog extends CountedLog {
  /** Returns for each partition the offset before which all clicks are in `click_raw`. */
  rawPositions(): Promise<Map<number, number>>;
}

export interface SinkPosition {
  readonly group: string;
  readonly topic: string;
  /** The topic's name without the prefix of this pipeline. */
  readonly topicName: TopicName;
  readonly partition: number;
  /** The committed offset. Everything before it is in ClickHouse. Without a commit it is the beginning of the log. */
  readonly position: number;
  /** The end of what the sink can read. It is read before `position`, so that a lag is never negative. */
  readonly end: number;
}

export interface NodePosition extends SinkPosition {
  /** The name of the ClickHouse node. */
  readonly node: string;
  /** The node lacks records before this offset, because the log no longer had them when its sink began. */
  readonly from: number;
}
