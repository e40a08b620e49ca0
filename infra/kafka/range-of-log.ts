/** Asks where a topic of one partition begins and ends. Connects when it is asked first, and again after an error. */
import { type Admin, openAdmin } from './admin.ts';
import type { KafkaClient } from './client.ts';

export interface RangeOfLog extends AsyncDisposable {
  /** The offsets of the first record that is still there, and of the next one. @throws Retryable */
  read(): Promise<{ readonly start: number; readonly end: number }>;
}

export function openRangeOfLog(kafka: KafkaClient, topic: string): RangeOfLog {
  let admin: Promise<Admin> | undefined;
  const forget = async () => {
    const open = admin;
    admin = undefined;
    // Its connection may be lost.
    await open?.then(connected => connected[Symbol.asyncDispose]()).catch(() => undefined);
  };
  return {
    async read() {
      admin ??= openAdmin(kafka);
      try {
        return (await (await admin).ranges(topic, 'read_uncommitted')).get(0) ?? { start: 0, end: 0 };
      } catch (error) {
        await forget();
        throw error;
      }
    },
    [Symbol.asyncDispose]: forget,
  };
}
