/** Asks Kafka for the ends of the log, and how far raw is. The API starts and answers without Kafka, so the connection is made when first asked. */
import { type Admin, openAdmin } from '../infra/kafka/admin.ts';
import type { KafkaClient } from '../infra/kafka/client.ts';
import type { Names } from '../infra/topics.ts';
import type { RawLog } from './jobs/raw-gate.ts';

export function pipelineOf(kafka: KafkaClient, names: Names): RawLog & AsyncDisposable {
  const topic = names.topic('clicks');
  let admin: Promise<Admin> | undefined;
  const forget = () => {
    admin = undefined;
  };
  const connected = () => {
    admin ??= openAdmin(kafka);
    admin.catch(forget);
    return admin;
  };
  return {
    async endOffsets() {
      return await (await connected()).endOffsets(topic);
    },
    async rawPositions() {
      const open = await connected();
      const positions = new Map<number, number>();
      for (const partition of (await open.endOffsets(topic)).keys()) {
        const commit = await open.committed(names.rawSinkGroup, topic, partition);
        if (commit) positions.set(partition, commit.offset);
      }
      return positions;
    },
    async [Symbol.asyncDispose]() {
      await admin?.then(
        open => open[Symbol.asyncDispose](),
        () => undefined,
      );
    },
  };
}
