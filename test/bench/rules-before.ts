/**
 * Puts rules of invalid clicks in force before the first click of a backlog, or takes them away. Rules hold for minutes
 * after their announcement alone, and a backlog is of long ago. So the topic is made anew, with a record that says that it
 * is older than all clicks, which the topic of a real pipeline does not allow. A tick follows, as ingest writes them:
 * before it, no process knows which rules there are, and the aggregator waits.
 */
import { Kafka, logLevel } from 'kafkajs';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import { tickRecord, validityRulesRecord } from '../../ingest/hot-ads/rule.ts';
import { recommendedRules } from '../../ingest/validity/rules.ts';
import type { Backlog } from './backlog.ts';

export async function setRules(
  { kafka, names, brokers }: Backlog,
  areInForce: boolean,
  partitions: number,
): Promise<void> {
  const topic = names.topic('hot-ads');
  const admin = kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [topic] });
  await ensureTopics(kafka, names, partitions);
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: 2, name: topic, configEntries: [{ name: 'message.timestamp.type', value: 'CreateTime' }] }],
  });
  await admin.disconnect();
  const announced = { ruleId: '0'.repeat(26), from: minute, rules: recommendedRules, note: '', by: 'bench' };
  // The project's own producer leaves the time to the broker.
  const producer = new Kafka({ brokers: [brokers], clientId: 'bench', logLevel: logLevel.ERROR }).producer();
  await producer.connect();
  const send = ({ key = '', value, headers = {} }: OutgoingRecord, timestamp: number) =>
    producer.send({ topic, messages: [{ key, value, headers, timestamp: String(timestamp) }] });
  if (areInForce) await send(validityRulesRecord(announced, terms), minute - 3_600_000);
  await send(tickRecord(terms), Date.now());
  await producer.disconnect();
}

/** 2020. */
const minute = 1_577_836_800_000;
/** Of the notice alone, which is the default one, something stands in a record. */
const terms = { noticeMs: 370_000, brokerSkewMs: 0, keptMs: 0 };
