/**
 * A Fetch request, version 4, of which only the end of the log is read: for who wants to know that something has come, and
 * not what. kafkajs encodes it; its decoder would take memory for the records.
 */
import './request-frame.ts';
import { createRequire } from 'node:module';
import type { Protocol } from './broker-link.ts';
import type { TopicPartition } from './broker-requests.ts';
import { brokerError } from './errors.ts';

const require = createRequire(import.meta.url);
const encode: (
  of: object,
) => Protocol<number>['request'] = require('kafkajs/src/protocol/requests/fetch/v4/request.js');

/** Answered with the high watermark. */
export function endBeyondRequest(
  { topic, partition }: TopicPartition,
  offset: number,
  waitMs: number,
): Protocol<number> {
  return {
    // The broker takes its time.
    requestTimeout: waitMs + answerMs,
    request: encode({
      ...{ replicaId: -1, maxWaitTime: waitMs, minBytes: 1, maxBytes: 1, isolationLevel: readUncommitted },
      topics: [{ topic, partitions: [{ partition, fetchOffset: offset, maxBytes: 1 }] }],
    }),
    response: {
      decode: async answer => answer,
      parse: async answer => endIn(answer as Buffer),
    },
  };
}

const answerMs = 5_000;
const readUncommitted = 0;

/** Of the one partition: throttle time, then an array of topics with an array of partitions each. */
export function endIn(answer: Buffer): number {
  const nameLength = answer.readInt16BE(8);
  const partition = 10 + nameLength + 4;
  const errorCode = answer.readInt16BE(partition + 4);
  if (errorCode !== 0) throw brokerError(errorCode);
  return Number(answer.readBigInt64BE(partition + 6));
}
