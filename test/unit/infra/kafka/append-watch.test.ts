import { expect, it } from 'vitest';
import { watchAppends } from '../../../../infra/kafka/append-watch.ts';
import type { KafkaClient } from '../../../../infra/kafka/client.ts';
import { endIn } from '../../../../infra/kafka/end-beyond-request.ts';
import { createLog } from '../../../../infra/log.ts';
import { eventually } from '../../../support/wait.ts';

/** A log to which records come by `append`; `interrupt` fails what waits. */
function logWithWaits() {
  const state = { end: 0, asked: 0, closed: 0 };
  let moved = Promise.withResolvers<void>();
  const stir = (failure?: Error) => {
    const before = moved;
    moved = Promise.withResolvers();
    moved.promise.catch(() => undefined);
    if (failure) before.reject(failure);
    else before.resolve();
  };
  moved.promise.catch(() => undefined);
  const kafka = {
    admin: () => ({
      connect: async () => {},
      disconnect: async () => {},
      fetchTopicOffsets: async () => [{ partition: 0, low: '0', high: String(state.end) }],
    }),
    appendWaits: () => ({
      leaders: async () => new Map([[0, 1]]),
      async endBeyond(_node: number, _of: object, offset: number) {
        state.asked++;
        if (state.end <= offset) await moved.promise;
        return state.end;
      },
      async [Symbol.asyncDispose]() {
        state.closed++;
        stir(new Error('closed'));
      },
    }),
  } as unknown as KafkaClient;
  return {
    ...{ kafka, state },
    append(records = 1) {
      state.end += records;
      stir();
    },
    interrupt: () => stir(new Error('the broker is away')),
  };
}

const options = { topic: 'job-requests', log: createLog('test', 'silent'), pauseMs: 1 };

it('tells of every append, and once when it begins, and asks once for each', async () => {
  const log = logWithWaits();
  let told = 0;
  await using _ = watchAppends(log.kafka, { ...options, onAppended: () => told++ });
  await eventually('it waits', () => log.state.asked === 1);
  expect(told).toBe(1);
  for (const after of [2, 3]) {
    log.append();
    await eventually('told', () => told === after);
  }
  await eventually('it waits again', () => log.state.asked === 3);
  expect(told).toBe(3);
});

it('tells once after an interruption, in which something may have come', async () => {
  const log = logWithWaits();
  let told = 0;
  await using _ = watchAppends(log.kafka, { ...options, onAppended: () => told++ });
  await eventually('it waits', () => log.state.asked === 1);
  log.state.end++;
  log.interrupt();
  await eventually('told', () => told === 2);
  await eventually('it waits again', () => log.state.asked === 2);
});

it('ends what is asked when it is closed', async () => {
  const log = logWithWaits();
  const watch = watchAppends(log.kafka, { ...options, onAppended: () => undefined });
  await eventually('it waits', () => log.state.asked === 1);
  await watch[Symbol.asyncDispose]();
  expect(log.state.closed).toBeGreaterThan(0);
});

it('keeps nothing of attempts that have ended, however long the brokers are away', async () => {
  const log = logWithWaits();
  const watch = watchAppends(log.kafka, { ...options, onAppended: () => undefined });
  for (let attempts = 1; attempts <= 5; attempts++) {
    await eventually('it waits', () => log.state.asked === attempts);
    log.interrupt();
    await eventually('what it has waited with is closed', () => log.state.closed === attempts);
  }
  await eventually('it waits again', () => log.state.asked === 6);
  await watch[Symbol.asyncDispose]();
  // Of the last attempt alone: by whoever closes, and by its own end.
  expect(log.state.closed).toBeLessThanOrEqual(7);
});

it('reads the end of the log from an answer, and an error as what it is', () => {
  const answer = (errorCode: number) => {
    const name = Buffer.from('job-requests');
    const head = Buffer.alloc(10);
    head.writeInt32BE(1, 4);
    head.writeInt16BE(name.length, 8);
    const partition = Buffer.alloc(4 + 4 + 2 + 8 + 8);
    partition.writeInt32BE(1, 0);
    partition.writeInt16BE(errorCode, 8);
    partition.writeBigInt64BE(4_711n, 10);
    return Buffer.concat([head, name, partition, Buffer.alloc(8)]);
  };
  expect(endIn(answer(0))).toBe(4_711);
  expect(() => endIn(answer(6))).toThrow(/leader/i);
});
