/**
 * A log that is followed over the simulation's broker, with what goes wrong made by hand: a consumer that is silent,
 * brokers that do not say where the log ends, records that are left out.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { Corrupt } from '../../../../infra/errors.ts';
import { ensureTopics, openAdmin } from '../../../../infra/kafka/admin.ts';
import type { KafkaClient } from '../../../../infra/kafka/client.ts';
import { followLog, type LogFollower } from '../../../../infra/kafka/follow-log.ts';
import { LogPosition } from '../../../../infra/kafka/log-position.ts';
import { createProducer } from '../../../../infra/kafka/producer.ts';
import { createLog } from '../../../../infra/log.ts';
import { names } from '../../../../infra/topics.ts';
import { brokerInRealTime } from '../../../simulation/broker-in-real-time.ts';
import { eventually } from '../../../support/wait.ts';

const topic = names('').topic('keys');
const log = createLog('follow-log', 'silent');

describe('how far a log is read', () => {
  it('is not caught up before the end is known, and then not before all that was there at first is read', () => {
    const position = new LogPosition(topic);
    position.advance(5);
    expect(position.isCaughtUp).toBe(false);
    position.take(7);
    position.advance(6);
    expect(position.isCaughtUp).toBe(false);
    position.advance(7);
    expect(position.isCaughtUp).toBe(true);
  });

  it('stays caught up while more is appended, and while a new consumer begins again at the beginning', () => {
    const position = new LogPosition(topic);
    position.take(2);
    position.advance(2);
    position.take(9);
    position.advance(1);
    expect([position.isCaughtUp, position.next]).toEqual([true, 2]);
  });

  it('is caught up at once where the log is empty', () => {
    const position = new LogPosition(topic);
    position.take(0);
    expect(position.isCaughtUp).toBe(true);
  });

  it('goes on at any offset that was read, and nowhere behind', () => {
    const position = new LogPosition(topic);
    position.advance(4);
    for (const offset of [0, 3, 4]) expect(() => position.checkFetch(offset)).not.toThrow();
    expect(() => position.checkFetch(5)).toThrow(
      'topic keys was read up to offset 4 and continues at 5: what stood between is unknown',
    );
  });
});

describe('a reader', () => {
  const looks = (...seen: readonly (readonly [next: number, end: number])[]) => {
    const position = new LogPosition(topic);
    return seen.map(([next, end]) => {
      position.advance(next);
      return position.isSilentAt(end);
    });
  };

  it('is silent after three looks in which the log went on and it did not', () => {
    expect(looks([0, 5], [0, 5], [0, 5], [0, 5])).toEqual([false, false, false, true]);
    expect(looks([5, 5], [5, 6], [5, 7], [5, 8])).toEqual([false, false, false, true]);
  });

  it('is not silent while it moves, however slowly, nor where there is nothing to read', () => {
    expect(looks([0, 9], [1, 9], [2, 9], [3, 9], [4, 9], [5, 9])).not.toContain(true);
    expect(looks(...Array.from({ length: 9 }, () => [5, 5] as const))).not.toContain(true);
  });

  it('gives the consumer that comes after a silent one as many looks again', () => {
    expect(looks(...Array.from({ length: 7 }, () => [0, 5] as const)).map(Number)).toEqual([0, 0, 0, 1, 0, 0, 1]);
  });
});

describe('a log that is followed', () => {
  let follower: LogFollower | undefined;
  afterEach(async () => {
    await follower?.[Symbol.asyncDispose]();
    follower = undefined;
  });

  const values: string[] = [];
  const brokerWith = async (...appended: readonly string[]) => {
    const { kafka } = brokerInRealTime();
    await prepare(kafka, ...appended);
    return kafka;
  };
  const prepare = async (kafka: KafkaClient, ...appended: readonly string[]) => {
    await ensureTopics(kafka, names(''), 1);
    await append(kafka, ...appended);
    values.length = 0;
  };
  const append = async (kafka: KafkaClient, ...appended: readonly string[]) => {
    await using producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
    for (const value of appended) await producer.send(topic, [{ partition: 0, value }]);
  };
  const expire = async (kafka: KafkaClient, before: number) => {
    await using admin = await openAdmin(kafka);
    await admin.deleteBefore(topic, new Map([[0, before]]));
  };
  /** A client whose first consumer is told only of the batches for which `passes` holds. */
  const consumingFirst = (kafka: KafkaClient, passes: (batch: number) => boolean): KafkaClient => {
    let opened = 0;
    const consumer: KafkaClient['consumer'] = options => {
      const made = kafka.consumer(options!);
      if (++opened > 1) return made;
      const run = made.run.bind(made);
      let batches = 0;
      const some = (settings: NonNullable<Parameters<typeof run>[0]>) => ({
        ...settings,
        eachBatch: async (payload: Parameters<NonNullable<typeof settings.eachBatch>>[0]) => {
          if (passes(batches++)) await settings.eachBatch?.(payload);
        },
      });
      return Object.assign(made, { run: (settings: Parameters<typeof run>[0]) => run(some(settings!)) });
    };
    return Object.assign(Object.create(kafka), { consumer });
  };
  interface More {
    readonly onCaughtUp?: () => void;
    readonly onValue?: (value: string) => void;
    readonly expires?: boolean;
  }
  const follow = (kafka: KafkaClient, more: More = {}) =>
    followLog({
      ...{ kafka, topic, log, group: 'of-its-own', reader: 'test', what: 'test', withoutIt: '' },
      lookEveryMs: 30,
      onBatch({ records }) {
        for (const { value } of records) {
          values.push(`${value}`);
          more.onValue?.(`${value}`);
        }
      },
      ...(more.onCaughtUp ? { onCaughtUp: more.onCaughtUp } : {}),
      ...(more.expires ? { expires: true } : {}),
    });

  it('is caught up when all that was there is read, says so once, and goes on', async () => {
    const kafka = await brokerWith('a', 'b', 'c');
    let told = 0;
    follower = follow(kafka, {
      onCaughtUp() {
        told++;
        expect([follower?.isCaughtUp, values]).toEqual([true, ['a', 'b', 'c']]);
      },
    });
    expect(follower.isCaughtUp).toBe(false);
    await follower.caughtUp(AbortSignal.timeout(60_000));
    await append(kafka, 'd');
    await eventually('the next one', () => values.length === 4);
    expect([told, follower.isCaughtUp, values]).toEqual([1, true, ['a', 'b', 'c', 'd']]);
  });

  it('lets others have a turn between a few records, however many a fetch has brought', async () => {
    const { kafka } = brokerInRealTime(1_000);
    const appended = Array.from({ length: 1_000 }, (_, i) => `${i}`);
    await prepare(kafka, ...appended);
    let inTurn = 0;
    let most = 0;
    let isOver = false;
    const turn = () => {
      inTurn = 0;
      if (!isOver) setImmediate(turn);
    };
    turn();
    follower = follow(kafka, {
      onValue() {
        most = Math.max(most, ++inTurn);
      },
    });
    await follower.caughtUp(AbortSignal.timeout(60_000));
    isOver = true;
    expect(values).toEqual(appended);
    expect(most).toBeLessThanOrEqual(100);
  });

  it('says so where there is nothing to read', async () => {
    let told = 0;
    follower = follow(await brokerWith(), { onCaughtUp: () => told++ });
    await follower.caughtUp(AbortSignal.timeout(60_000));
    expect([told, follower.isCaughtUp]).toEqual([1, true]);
  });

  it('is not caught up while the brokers do not say where it ends, whatever was read', async () => {
    const kafka = await brokerWith('a');
    let isSilent = true;
    const admin = () =>
      Object.assign(kafka.admin(), {
        async fetchTopicOffsets() {
          if (isSilent) throw new Error('the brokers do not say');
          return [{ partition: 0, low: '0', high: '1' }];
        },
      });
    follower = follow(Object.assign(Object.create(kafka), { admin }));
    await eventually('read', () => values.length === 1);
    await follower.caughtUp(AbortSignal.timeout(100));
    expect(follower.isCaughtUp).toBe(false);
    isSilent = false;
    await follower.caughtUp(AbortSignal.timeout(60_000));
    expect(follower.isCaughtUp).toBe(true);
  });

  it('is read by another consumer after one that got nothing', async () => {
    const kafka = await brokerWith('a', 'b');
    let opened = 0;
    const consumer: KafkaClient['consumer'] = options => {
      const made = kafka.consumer(options!);
      if (++opened > 1) return made;
      const run = made.run.bind(made);
      return Object.assign(made, {
        run: (settings: Parameters<typeof run>[0]) => run({ ...settings, eachBatch: async () => {} }),
      });
    };
    follower = follow(Object.assign(Object.create(kafka), { consumer }));
    await follower.caughtUp(AbortSignal.timeout(60_000));
    expect([opened, values]).toEqual([2, ['a', 'b']]);
  });

  it('ends for good at what its user calls corrupt, and is not caught up then', async () => {
    const kafka = await brokerWith('a', 'none of ours', 'c');
    follower = follow(kafka, {
      onValue(value) {
        if (value.startsWith('none')) throw new Corrupt('not of the contract');
      },
    });
    await eventually('it has ended', () => follower?.corrupt);
    await append(kafka, 'd');
    await follower.caughtUp(AbortSignal.timeout(300));
    expect([follower.isCaughtUp, follower.corrupt?.message]).toEqual([false, 'not of the contract']);
    expect(values.filter(value => value.startsWith('none'))).toHaveLength(1);
    await expect(follower.readToEnd()).rejects.toThrow('topic keys cannot be read');
  });

  it('is read to the end that it has at the moment', async () => {
    const kafka = await brokerWith('a');
    follower = follow(kafka);
    await follower.readToEnd();
    expect([follower.isCaughtUp, values]).toEqual([true, ['a']]);
    await append(kafka, 'b', 'c');
    await follower.readToEnd();
    expect(values).toEqual(['a', 'b', 'c']);
  });

  describe('whose first records are gone', () => {
    const patience = () => AbortSignal.timeout(60_000);

    it('is read from where it begins now, where records expire', async () => {
      const kafka = await brokerWith('a', 'b', 'c');
      await expire(kafka, 2);
      follower = follow(kafka, { expires: true });
      await follower.caughtUp(patience());
      expect([follower.corrupt, values]).toEqual([undefined, ['c']]);
    });

    it('is caught up where all of it has expired, and goes on with what comes then', async () => {
      const kafka = await brokerWith('a', 'b');
      await expire(kafka, 2);
      follower = follow(kafka, { expires: true });
      await follower.caughtUp(patience());
      await follower.readToEnd();
      await append(kafka, 'c');
      await follower.readToEnd();
      expect([follower.corrupt, values]).toEqual([undefined, ['c']]);
    });

    /** As an answer is that was given just before records expired. */
    const beginningAtFirst = (kafka: KafkaClient): KafkaClient => {
      const admin = () => {
        const made = kafka.admin();
        const ask = made.fetchTopicOffsets.bind(made);
        return Object.assign(made, {
          fetchTopicOffsets: async (asked: string) => (await ask(asked)).map(offsets => ({ ...offsets, low: '0' })),
        });
      };
      return Object.assign(Object.create(kafka), { admin, consumer: kafka.consumer.bind(kafka) });
    };

    it('is read from where the first fetch finds it, whatever the brokers said before', async () => {
      const kafka = await brokerWith('a', 'b', 'c');
      await expire(kafka, 2);
      follower = follow(beginningAtFirst(kafka), { expires: true });
      await follower.caughtUp(patience());
      expect([follower.corrupt, values]).toEqual([undefined, ['c']]);
    });

    it('goes on where it begins now after records have expired that a consumer could not read', async () => {
      const kafka = await brokerWith('a');
      follower = follow(beginningAtFirst(consumingFirst(kafka, batch => batch === 0)), { expires: true });
      await follower.caughtUp(patience());
      await append(kafka, 'b', 'c', 'd');
      await expire(kafka, 3);
      await eventually('another consumer', () => values.includes('d'));
      expect([follower.corrupt, values]).toEqual([undefined, ['a', 'd']]);
    });

    it('is corrupt where what is left out stands between two fetches of one consumer', async () => {
      const kafka = await brokerWith('a');
      let fetches = 0;
      const withoutSecond = consumingFirst(kafka, batch => {
        fetches++;
        return batch !== 1;
      });
      follower = follow(withoutSecond, { expires: true });
      await follower.caughtUp(patience());
      await append(kafka, 'b');
      await eventually('fetched', () => fetches === 2);
      await append(kafka, 'c');
      await eventually('it has ended', () => follower?.corrupt);
      expect(follower.corrupt?.message).toContain('was read up to offset 1 and continues at 2');
    });

    it('is corrupt where its records stay', async () => {
      const kafka = await brokerWith('a', 'b', 'c');
      await expire(kafka, 2);
      follower = follow(kafka);
      await eventually('it has ended', () => follower?.corrupt);
      await follower.caughtUp(AbortSignal.timeout(300));
      expect([follower.isCaughtUp, follower.corrupt?.message]).toEqual([
        false,
        'topic keys was read up to offset 0 and continues at 2: what stood between is unknown',
      ]);
    });
  });
});
