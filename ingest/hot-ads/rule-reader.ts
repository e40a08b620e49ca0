/** CONTRACT: reads topic `hot-ads` into a rule book, and follows it while it is open (infra/kafka/follow-log.ts). */
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { followLog, type LogFollower } from '../../infra/kafka/follow-log.ts';
import type { Logger } from '../../infra/log.ts';
import { gauge } from '../../infra/metrics.ts';
import type { Names } from '../../infra/topics.ts';
import { createClickIdMint } from '../click-id.ts';
import type { RuleBook } from './rule-book.ts';

export interface RuleReaderDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly book: RuleBook;
  readonly log: Logger;
  /** Is called after each batch. */
  readonly onRead: () => void;
  /** Is called once, when everything was read that was there at first. */
  readonly onCaughtUp: () => void;
}

export function followRules({ kafka, names, book, log, onRead, onCaughtUp }: RuleReaderDeps): LogFollower {
  const follower = followLog({
    kafka,
    group: names.hotAdsGroup(createClickIdMint()(Date.now())),
    topic: names.topic('hot-ads'),
    reader: 'hot-ads',
    what: 'hot ads: the rules',
    withoutIt: 'no click is taken',
    log,
    onCaughtUp,
    onBatch(batch) {
      const { announced, tooLate, partitions, versions } = book.read(batch);
      for (const rule of announced) log.info({ rule }, 'hot ad: split');
      for (const rule of tooLate) log.warn({ rule }, 'hot ad: announced too late, without effect');
      for (const { rule, holds } of partitions) {
        if (holds) log.info({ rule }, 'partitions: recorded');
        else log.warn({ rule }, 'partitions: announced too late or recorded before, without effect');
      }
      for (const { version, from, holds } of versions) {
        if (holds || from === null) log.info({ version, from }, 'rules of invalid traffic: announced');
        else log.warn({ version, from }, 'rules of invalid traffic: announced too late, so no minute takes them');
      }
      // The newest record has come just now, because one is appended every few seconds.
      if (follower.isCaughtUp) clockAhead.set((Date.now() - book.newestAppendedAt) / 1_000);
      onRead();
    },
  });
  return follower;
}

const clockAhead = gauge(
  'clock_ahead_of_broker_seconds',
  'How far the clock of this process is ahead of that of the broker, when it read a record that was just appended to topic hot-ads; negative: behind',
);
