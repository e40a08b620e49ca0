/**
 * CONTRACT: increases the number of partitions step by step.
 *
 * First the topics grow, outputs before inputs, because the owner of a new partition of `clicks` must find where to
 * write. When all new partitions have leaders, the growth is announced for the first minute that everybody is certain
 * to know in time. Until then clicks are routed as before. If the program is ended between two steps and run again, it
 * continues where it was. If the growth is recorded already, it announces nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, Retryable } from '../../infra/errors.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { openTopicPartitions } from '../../infra/kafka/topic-partitions.ts';
import type { Logger } from '../../infra/log.ts';
import type { Names } from '../../infra/topics.ts';
import { createClickIdMint } from '../click-id.ts';
import { countedTopics } from './partition-comparison.ts';
import type { PartitionRecord } from './partition-record.ts';
import { type HotAdTerms, partitionsRecord, tickRecord } from './rule.ts';

export interface GrowthDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly terms: HotAdTerms;
  readonly record: Pick<PartitionRecord, 'book' | 'readToEnd'>;
  readonly log: Logger;
}

/** The growth is impossible at present. The message says why, and what would help. */
export class GrowthRefused extends Error {
  override readonly name = 'GrowthRefused';
}

/** @throws GrowthRefused; Retryable when it may be tried again */
export async function growPartitions(to: number, deps: GrowthDeps): Promise<void> {
  const { kafka, names, terms, record, log } = deps;
  const { book } = record;
  await record.readToEnd();
  const recorded = book.partitions;
  if (recorded === undefined) {
    throw new GrowthRefused(
      'no number of partitions is recorded yet, and the first ingest process that runs records it: start one, and ask again',
    );
  }
  if (to < recorded)
    throw new GrowthRefused(`partitions: must be at least ${recorded}, because their number can only grow`);
  await using topics = openTopicPartitions(kafka, countedTopics.map(names.topic));
  for (const name of countedTopics) await topics.grow(names.topic(name), to);
  for (let waitedMs = 0; !(await topics.areLed(to)); waitedMs += pauseMs) {
    if (waitedMs >= leadersWithinMs) throw new Retryable(`not all partitions have a leader yet: ask again`);
    await sleep(pauseMs);
  }
  if (to === recorded) return;
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  // A tick shows the current time of the log.
  await producer.send(names.topic('hot-ads'), [tickRecord(terms)]);
  await record.readToEnd();
  const from = Math.ceil((book.lastAppendedAt + terms.noticeMs + slackMs) / minuteMs) * minuteMs;
  const rule = { ruleId: createClickIdMint()(Date.now()), from, partitions: to };
  await producer.send(names.topic('hot-ads'), [partitionsRecord(rule, terms)]).catch(error => {
    log.warn({ why: messageOf(error) }, 'partitions: the log will show whether the growth was announced');
  });
  await record.readToEnd();
  if ((book.partitions ?? 0) < to) throw new Retryable('the announcement arrived too late to take effect: ask again');
  log.info({ rule }, 'partitions: growth announced');
}

const minuteMs = 60_000;
const pauseMs = 200;
const leadersWithinMs = 10_000;
/** The time for the way of the announcement to the broker. */
const slackMs = 10_000;
