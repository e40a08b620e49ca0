/**
 * CONTRACT: announces a version of the rules of invalid traffic (ingest/validity/rule-set.ts).
 *
 * Whether it holds is said by the log alone, by the broker's clock. So the log is read back, and the answer has the
 * number that it gave. What cannot come in time any more is refused before it is written.
 */
import { messageOf, Retryable } from '../../infra/errors.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import type { Logger } from '../../infra/log.ts';
import type { Names } from '../../infra/topics.ts';
import { createClickIdMint } from '../click-id.ts';
import { type AnnouncedRules, mostVersions, type RulesVersion } from '../validity/rule-set.ts';
import type { PartitionRecord } from './partition-record.ts';
import { type HotAdTerms, tickRecord, validityRulesRecord } from './rule.ts';

export interface AnnounceDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly terms: HotAdTerms;
  readonly record: Pick<PartitionRecord, 'book' | 'readToEnd'>;
  readonly log: Logger;
}

/** They cannot be announced like this. The message says why, and what would help. */
export class RulesRefused extends Error {
  override readonly name = 'RulesRefused';
}

/** @throws RulesRefused; Retryable when it is not known whether they were announced */
export async function announceRules(
  asked: Omit<AnnouncedRules, 'ruleId'>,
  { kafka, names, terms, record, log }: AnnounceDeps,
): Promise<RulesVersion> {
  const { book } = record;
  const topic = names.topic('hot-ads');
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  // A tick shows the current time of the log.
  await producer.send(topic, [tickRecord(terms)]);
  await record.readToEnd();
  if (book.versions.length >= mostAnnounced)
    throw new RulesRefused(
      `there are ${book.versions.length} versions of the rules, and at most ${mostAnnounced} may be`,
    );
  const soonest = soonestFrom(book.lastAppendedAt, terms);
  if (asked.from !== null && asked.from < soonest) throw new RulesRefused(tooSoon(soonest));
  const announced = { ...asked, ruleId: createClickIdMint()(Date.now()) };
  await producer.send(topic, [validityRulesRecord(announced, terms)]).catch(error => {
    log.warn({ why: messageOf(error) }, 'rules of invalid traffic: the log will show whether they were announced');
  });
  await record.readToEnd();
  const version = book.versions.find(({ ruleId }) => ruleId === announced.ruleId);
  if (version === undefined) throw new Retryable('the log does not show yet whether the rules were announced');
  if (version.from !== null && !version.holds)
    throw new RulesRefused(`they came too late: they are version ${version.version}, which no minute takes by itself`);
  log.info({ version: version.version, from: version.from }, 'rules of invalid traffic announced');
  return version;
}

/** Returns the first minute (epoch ms) for which rules can be announced at a time of the log. */
export function soonestFrom(now: number, { noticeMs }: Pick<HotAdTerms, 'noticeMs'>): number {
  return Math.ceil((now + noticeMs + slackMs) / minuteMs) * minuteMs;
}

function tooSoon(soonest: number): string {
  return `from: must be ${new Date(soonest).toISOString()} or later, so that every process knows the rules in time`;
}

const minuteMs = 60_000;
/** The time for the way of the announcement to the broker. */
const slackMs = 10_000;
/**
 * Far below what a reader takes for damage. Announcers at the same moment exceed it by one each: every process announces
 * one version at a time (query-api/routes/rules/rules.ts).
 */
const mostAnnounced = mostVersions / 2;
