/** Asks the brokers from time to time with which settings the topics are, and tells those that are unsafe (unsafe-settings.ts). */
import type { Admin as KafkaAdmin } from 'kafkajs';
import { messageOf, Retryable } from '../errors.ts';
import type { Logger } from '../log.ts';
import { gauge } from '../metrics.ts';
import { repeatedly } from '../repeatedly.ts';
import { type Names, type TopicName, topicNames } from '../topics.ts';
import { checkedSettings, type UnsafeSetting, unsafeSettings } from '../unsafe-settings.ts';
import type { KafkaClient } from './client.ts';
import { translate } from './errors.ts';

export interface TopicSettingsDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly log: Logger;
}

/** Connects by itself, as often as it takes, until it is disposed of. */
export function watchTopicSettings({ kafka, names, log }: TopicSettingsDeps): AsyncDisposable {
  let told = new Set<string>();
  let why: string | undefined;
  return repeatedly(async closing => {
    try {
      const found = await unsafeTopics(kafka, names);
      const now = new Set<string>();
      for (const name of topicNames) {
        const unsafe = found.get(name) ?? [];
        for (const setting of checkedSettings)
          unsafeGauge.set({ topic: names.topic(name), setting }, unsafe.some(one => one.setting === setting) ? 1 : 0);
        for (const one of unsafe) {
          const text = `${name} ${one.setting} ${one.value}`;
          if (!told.has(text)) tellUnsafe(log, names, name, one);
          now.add(text);
        }
      }
      told = now;
      why = undefined;
    } catch (error) {
      const news = messageOf(error);
      // What is not known any more is neither safe nor unsafe.
      unsafeGauge.reset();
      if (!closing.aborted && news !== why) tellUnknown(log, news);
      why = news;
    }
    return intervalMs;
  });
}

/** Tells them once. That the brokers cannot be asked is told, too, and is no error. */
export async function tellUnsafeTopics({ kafka, names, log }: TopicSettingsDeps): Promise<void> {
  try {
    for (const [name, unsafe] of await unsafeTopics(kafka, names))
      for (const one of unsafe) tellUnsafe(log, names, name, one);
  } catch (error) {
    tellUnknown(log, messageOf(error));
  }
}

function tellUnsafe(log: Logger, names: Names, name: TopicName, { setting, value, rule, harm }: UnsafeSetting): void {
  const topic = names.topic(name);
  log.error({ topic, setting, value, rule, harm }, 'topic settings: UNSAFE');
}

function tellUnknown(log: Logger, why: string): void {
  log.warn({ why }, 'topic settings: the brokers could not be asked, so nobody would notice unsafe ones');
}

/** The topics that have unsafe settings. @throws Retryable */
async function unsafeTopics(
  kafka: KafkaClient,
  names: Names,
): Promise<ReadonlyMap<TopicName, readonly UnsafeSetting[]>> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    const existing = new Set(await admin.listTopics());
    const topics = topicNames.filter(name => existing.has(names.topic(name)));
    if (topics.length === 0) return new Map();
    const [found, replicas] = [
      await settingsOf(admin, topics.map(names.topic)),
      await replicasOf(admin, topics.map(names.topic)),
    ];
    return new Map(
      topics.map(name => {
        const topic = names.topic(name);
        const values = found.get(topic) ?? new Map<string, string>();
        const missing = checkedSettings.find(setting => !values.has(setting));
        if (missing !== undefined) throw new Retryable(`the brokers do not say ${missing} of topic ${topic}`);
        return [name, unsafeSettings(name, values, replicas.get(topic) ?? 1)] as const;
      }),
    );
  } catch (error) {
    throw error instanceof Retryable ? error : translate(error, 'settings of topics');
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

async function settingsOf(admin: KafkaAdmin, topics: readonly string[]) {
  const configNames = [...checkedSettings];
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map(name => ({ type: topicResource, name, configNames })),
  });
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  );
}

/** Of the partition that has the fewest. */
async function replicasOf(admin: KafkaAdmin, topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] });
  return new Map(
    found.map(({ name, partitions }) => [name, Math.min(...partitions.map(({ replicas }) => replicas.length))]),
  );
}

const topicResource = 2;
const intervalMs = 30_000;

const unsafeGauge = gauge(
  'topic_setting_unsafe',
  '1: the topic has a setting with which clicks or state may be lost, or numbers be final too early',
  ['topic', 'setting'],
);
