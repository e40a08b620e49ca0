/**
 * Gives notice when something is appended to a partition, without reading it: one request waits at the leader for twenty
 * seconds, and is answered at once when a record arrives. So a topic with few records costs three requests a minute, and
 * the listener learns of a record within milliseconds. The watch belongs to no group and has a connection of its own, so
 * nothing else waits behind it.
 *
 * The notice is only a hint. There is none while the brokers are away, or while a former leader answers that does not
 * know that it is one. So the listener must also look by itself. After each interruption it gets one notice, because
 * something may have been appended meanwhile.
 */
import { messageOf, Retryable } from '../errors.ts';
import type { Logger } from '../log.ts';
import { repeatedly } from '../repeatedly.ts';
import { openAdmin } from './admin.ts';
import type { KafkaClient } from './client.ts';

export interface AppendWatchOptions {
  /** Its partition 0. */
  readonly topic: string;
  readonly onAppended: () => void;
  readonly log: Logger;
  readonly pauseMs?: number;
}

/** Connects by itself, as often as it takes, until it is disposed of. */
export function watchAppends(
  kafka: KafkaClient,
  { topic, onAppended, log, pauseMs = 2_000 }: AppendWatchOptions,
): AsyncDisposable {
  const follow = async (closing: AbortSignal) => {
    await using waits = kafka.appendWaits();
    const closeWaits = () => void waits[Symbol.asyncDispose]();
    closing.addEventListener('abort', closeWaits);
    try {
      const leader = (await waits.leaders(topic)).get(0);
      if (leader === undefined) throw new Retryable(`${topic} has no leader`);
      let end = await endOf(kafka, topic);
      onAppended();
      while (!closing.aborted) {
        const now = await waits.endBeyond(leader, { topic, partition: 0 }, end, waitMs);
        if (now > end) onAppended();
        end = now;
      }
    } finally {
      // Brokers may be away for days: nothing of an attempt that has ended is kept.
      closing.removeEventListener('abort', closeWaits);
    }
  };
  return repeatedly(async closing => {
    await follow(closing).catch(error => {
      if (!closing.aborted) log.debug({ topic, why: messageOf(error) }, 'no notice of new records at the moment');
    });
    return pauseMs;
  });
}

const waitMs = 20_000;

async function endOf(kafka: KafkaClient, topic: string): Promise<number> {
  await using admin = await openAdmin(kafka);
  return (await admin.endOffsets(topic, 'read_uncommitted')).get(0) ?? 0;
}
