/** Changes settings of a topic, as an operator does with `kafka-configs --alter`. */
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { type Names, type TopicName, topicSettings } from '../../infra/topics.ts';

const topicResource = 2;

/** The other settings are those with which the topic was made. */
export async function alterTopic(
  kafka: KafkaClient,
  names: Names,
  topic: TopicName,
  changed: Readonly<Record<string, string>>,
): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    // The request replaces all of them.
    const settings = { ...topicSettings[topic], ...changed };
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    const resource = { type: topicResource, name: names.topic(topic), configEntries };
    await admin.alterConfigs({ validateOnly: false, resources: [resource] });
  } finally {
    await admin.disconnect();
  }
}
