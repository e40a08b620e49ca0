/** Asks the brokers for how long they keep a record of a topic. */
import kafkajs from 'kafkajs';
import { Retryable } from '../errors.ts';
import type { KafkaClient } from './client.ts';
import { translate } from './errors.ts';

/**
 * Returns the most ms that a record stays in each topic, or undefined for one that stays forever. Only whole segments are
 * removed, so a segment's own time is added. @throws Retryable
 */
export async function topicRetention(
  kafka: KafkaClient,
  topics: readonly string[],
): Promise<ReadonlyMap<string, number | undefined>> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const configNames = ['retention.ms', 'segment.ms', 'cleanup.policy', 'file.delete.delay.ms'];
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: topics.map(name => ({ type: kafkajs.ConfigResourceTypes.TOPIC, name, configNames })),
    });
    return new Map(
      topics.map(topic => {
        const entries = resources.find(({ resourceName }) => resourceName === topic)?.configEntries ?? [];
        const values = new Map(entries.map(({ configName, configValue }) => [configName, configValue]));
        const of = (name: string) => Number(values.get(name) ?? Number.NaN);
        const keptMs = of('retention.ms') + of('segment.ms') + of('file.delete.delay.ms') + checkIntervalMs;
        if (!Number.isFinite(keptMs)) throw new Retryable(`topic ${topic}: the brokers do not say how long it is kept`);
        const isExpiring = values.get('cleanup.policy')?.includes('delete') && of('retention.ms') >= 0;
        return [topic, isExpiring ? keptMs : undefined];
      }),
    );
  } catch (error) {
    throw error instanceof Retryable ? error : translate(error, 'describe topics');
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** Brokers look for what has expired every five minutes. */
const checkIntervalMs = 300_000;
