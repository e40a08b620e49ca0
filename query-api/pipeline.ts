/** Asks Kafka for the ends of the log. The API starts and answers without Kafka, so the connection is made when first asked. */
import { type Admin, openAdmin } from '../infra/kafka/admin.ts';
import type { KafkaClient } from '../infra/kafka/client.ts';
import type { Pipeline } from './route-deps.ts';

export function pipelineOf(kafka: KafkaClient, topic: string): Pipeline & AsyncDisposable {
  let admin: Promise<Admin> | undefined;
  const forget = () => {
    admin = undefined;
  };
  return {
    async endOffsets() {
      admin ??= openAdmin(kafka);
      admin.catch(forget);
      return await (await admin).endOffsets(topic);
    },
    async [Symbol.asyncDispose]() {
      await admin?.then(
        open => open[Symbol.asyncDispose](),
        () => undefined,
      );
    },
  };
}
