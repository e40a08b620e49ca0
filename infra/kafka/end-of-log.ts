/** Asks where a topic of one partition ends. Connects when it is asked first, and again after an error. */
import { type Admin, openAdmin } from './admin.ts';
import type { KafkaClient } from './client.ts';

export interface EndOfLog extends AsyncDisposable {
  /** @throws Retryable */
  offset(): Promise<number>;
}

export function openEndOfLog(kafka: KafkaClient, topic: string): EndOfLog {
  let admin: Promise<Admin> | undefined;
  const forget = async () => {
    const open = admin;
    admin = undefined;
    // Its connection may be lost.
    await open?.then(connected => connected[Symbol.asyncDispose]()).catch(() => undefined);
  };
  return {
    async offset() {
      admin ??= openAdmin(kafka);
      try {
        return (await (await admin).endOffsets(topic)).get(0) ?? 0;
      } catch (error) {
        await forget();
        throw error;
      }
    },
    [Symbol.asyncDispose]: forget,
  };
}
