/** What is asked of Kafka: the log that is being counted, and how far the store follows it. */
import type { TopicName } from '../../infra/topics.ts';

export interface CountedLog {
  /** Last stable offset of each partition of topic `clicks`. */
  endOffsets(): Promise<ReadonlyMap<number, number>>;
  /** Of all that the sink of the node reads that is read here, by group, topic and partition. */
  sinkPositions(): Promise<readonly SinkPosition[]>;
  /** Of all ClickHouse nodes. Left out: there is one, and it is not known what it lacks. */
  nodePositions?(): Promise<readonly NodePosition[]>;
}

export interface RawLog extends CountedLog {
  /** Offset of each partition before which all clicks are in `click_raw`. */
  rawPositions(): Promise<Map<number, number>>;
}

export interface SinkPosition {
  readonly group: string;
  readonly topic: string;
  /** The topic's name without the prefix of this pipeline. */
  readonly topicName: TopicName;
  readonly partition: number;
  /** The committed offset: all before is in ClickHouse. Where there is none yet, the beginning of the log. */
  readonly position: number;
  /** The last stable offset. Asked for before `position`, so that a lag is never less than nothing. */
  readonly end: number;
}

export interface NodePosition extends SinkPosition {
  /** Of ClickHouse. */
  readonly node: string;
  /** Before this the node lacks what the log no longer held when its sink began. */
  readonly from: number;
}
