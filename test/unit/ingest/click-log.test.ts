import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Retryable } from '../../../infra/errors.ts';
import type { OutgoingRecord } from '../../../infra/kafka/outgoing-record.ts';
import type { Producer } from '../../../infra/kafka/producer.ts';
import type { TraceContext } from '../../../infra/trace-context.ts';
import { acksOf, createAckChain, readAcks } from '../../../ingest/ack-chain.ts';
import { type Click, partitionOf } from '../../../ingest/click.ts';
import { maxPartitionSendBytes } from '../../../ingest/click-buffer.ts';
import { ClickLines } from '../../../ingest/click-lines.ts';
import { backOffMs, type ClickLog, createClickLog } from '../../../ingest/click-log.ts';
import type { RoutedClick } from '../../../ingest/hot-ads/rule.ts';

const partitions = 4;
const timeoutMs = 5_000;
const writer = '01KBH3G7ZW0000000000000000';

interface Send {
  readonly partition: number;
  readonly records: readonly OutgoingRecord[];
  readonly ack: () => void;
  readonly fail: (why?: string) => void;
}

/** Its brokers are always free; batches wait until the test settles them. */
function fakeProducer() {
  const sends: Send[] = [];
  const producer: Pick<Producer, 'sendBatch'> = {
    sendBatch({ partition }, { take, settled }) {
      const records = take() ?? [];
      const fail = (why = 'broker away') => settled(new Retryable(why));
      if (records.length === 0) settled();
      else sends.push({ partition, records, ack: () => settled(), fail });
    },
  };
  return { sends, producer };
}

function setUp(options: Partial<Parameters<typeof createClickLog>[0]> = {}) {
  const { sends, producer } = fakeProducer();
  const log = createClickLog({
    topic: 'clicks',
    partitionFor: click => partitionOf(click.adId, partitions),
    producer,
    ackChain: createAckChain(writer),
    lingerMs: 3,
    maxBatchBytes: 16_384,
    maxBufferBytes: 1 << 20,
    timeoutMs,
    ...options,
  });
  return { sends, log };
}

function click(eventId: string, adId = 'ad-1'): Click {
  return { clickId: 'C'.repeat(26), eventId, adId, clickedAt: 1, receivedAt: 2, country: 'ZZ' };
}

/** As the app does, whose memory is used again at once. */
function append(log: ClickLog, clicks: readonly Click[], trace?: TraceContext): Promise<void> {
  const lines = new ClickLines();
  for (const each of clicks) lines.add(each);
  const appended = log.append(lines, trace);
  lines.bytes.fill(0);
  return appended;
}

/** event_ids in the order they were sent, per partition. */
function eventIds(records: readonly OutgoingRecord[]): Record<number, string[]> {
  const ids: Record<number, string[]> = {};
  for (const { partition, value } of records) {
    const sent = String(value)
      .split('\n')
      .map(line => JSON.parse(line).event_id);
    ids[partition] = [...(ids[partition] ?? []), ...sent];
  }
  return ids;
}

/** 'pending' until the promise has settled. */
function outcomeOf(promise: Promise<void>): { now: string } {
  const outcome = { now: 'pending' };
  promise.then(
    () => {
      outcome.now = 'acknowledged';
    },
    error => {
      outcome.now = error instanceof Retryable ? 'retryable' : 'failed';
    },
  );
  return outcome;
}

const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('createClickLog', () => {
  it('appends nothing of a request with a click whose partition cannot be told yet', async () => {
    const partitionFor = ({ eventId }: RoutedClick) => {
      if (eventId === 'e2') throw new Retryable('not known yet');
      return 0;
    };
    const { sends, log } = setUp({ lingerMs: 0, partitionFor });
    await expect(append(log, [click('e1'), click('e2')])).rejects.toThrow(Retryable);
    expect([sends.length, log.pendingBytes]).toEqual([0, 0]);
  });

  it('puts clicks of concurrent requests into one record per partition, in order', async () => {
    const { sends, log } = setUp();
    for (let i = 0; i < 30; i++) void append(log, [click(`e${i}`, `ad-${i % 3}`), click(`f${i}`, `ad-${i % 3}`)]);
    expect(sends).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(3);
    const records = sends.flatMap(send => send.records);
    expect(new Set(records.map(record => record.partition)).size).toBe(records.length);
    for (let ad = 0; ad < 3; ad++) {
      const expected = Array.from({ length: 10 }, (_, i) => [`e${ad + 3 * i}`, `f${ad + 3 * i}`]).flat();
      const sent = eventIds(records)[partitionOf(`ad-${ad}`, partitions)]!;
      expect(sent.filter(id => expected.includes(id))).toEqual(expected);
    }
  });

  it('sends each click once and keeps its bytes until its send has settled, whatever becomes of others', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ clicks: fc.nat(40), ads: fc.integer({ min: 1, max: 9 }) }) },
      { weight: 3, arbitrary: fc.constantFrom('ack', 'ack', 'ack', 'fail') },
      { weight: 2, arbitrary: fc.constantFrom(1, 10, 300, backOffMs, timeoutMs) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async steps => {
        // Those of the runs before: every advance would look through all of them.
        vi.clearAllTimers();
        const { sends, log } = setUp({ maxBatchBytes: 1_000, maxBufferBytes: 30_000 });
        const taken: string[] = [];
        const asSent: string[] = [];
        const textOf = ({ records }: Send) => records.map(({ partition, value }) => `${partition} ${value}`).join('\n');
        const settled = new Set<Send>();
        const underWay = () => sends.filter(send => !settled.has(send));
        let serial = 0;
        for (const each of steps) {
          if (typeof each === 'number') await vi.advanceTimersByTimeAsync(each);
          else if (typeof each === 'string') {
            const send = underWay()[serial % Math.max(1, underWay().length)];
            if (send === undefined) continue;
            settled.add(send);
            send[each]();
            await settle();
          } else {
            const clicks = Array.from({ length: each.clicks }, () => click(`e${++serial}`, `ad-${serial % each.ads}`));
            append(log, clicks).then(
              () => taken.push(...clicks.map(({ eventId }) => eventId)),
              () => undefined,
            );
          }
          while (asSent.length < sends.length) asSent.push(textOf(sends[asSent.length]!));
          expect(new Set(underWay().map(({ partition }) => partition)).size).toBe(underWay().length);
          // Until it has settled, what the producer was given stays what it was.
          for (const send of underWay()) expect(textOf(send)).toBe(asSent[sends.indexOf(send)]);
        }
        for (; log.pendingBytes > 0; await vi.advanceTimersByTimeAsync(10)) {
          for (const send of underWay()) {
            settled.add(send);
            asSent[sends.indexOf(send)] ??= textOf(send);
            expect(textOf(send)).toBe(asSent[sends.indexOf(send)]);
            send.ack();
          }
        }
        await settle();
        const ids = asSent.join('\n').match(/"event_id":"e\d+"/g) ?? [];
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids).toEqual(expect.arrayContaining(taken.map(id => `"event_id":"${id}"`)));
      }),
      { numRuns: 150 },
    );
  });

  it('resolves only when the brokers have acknowledged', async () => {
    const { sends, log } = setUp();
    const outcome = outcomeOf(append(log, [click('e')]));
    await vi.advanceTimersByTimeAsync(100);
    expect(outcome.now).toBe('pending');
    sends[0]!.ack();
    await settle();
    expect(outcome.now).toBe('acknowledged');
    expect(log.pendingBytes).toBe(0);
  });

  it('sends at once without linger when idle', () => {
    const { sends, log } = setUp({ lingerMs: 0 });
    void append(log, [click('e')]);
    expect(sends).toHaveLength(1);
  });

  it('does not linger once a partition has a full record', async () => {
    const { sends, log } = setUp({ lingerMs: 1_000 });
    void append(
      log,
      Array.from({ length: 200 }, (_, i) => click(`e${i}`)),
    );
    await settle();
    expect(sends).toHaveLength(1);
  });

  it('never has two batches of a partition under way, and collects the next one meanwhile', async () => {
    const { sends, log } = setUp({ lingerMs: 0 });
    void append(log, [click('e1')]);
    void append(log, [click('e2')]);
    void append(log, [click('e3')]);
    await vi.advanceTimersByTimeAsync(50);
    expect(sends).toHaveLength(1);
    sends[0]!.ack();
    await settle();
    expect(sends).toHaveLength(2);
    expect(Object.values(eventIds(sends[1]!.records))).toEqual([['e2', 'e3']]);
  });

  it('keeps records below the batch size and a partition below what one send may carry', async () => {
    const { sends, log } = setUp({ lingerMs: 0, maxBufferBytes: 64 << 20 });
    const appended = append(
      log,
      Array.from({ length: 60_000 }, (_, i) => click(`e${i}`)),
    );
    const seen: string[] = [];
    for (let at = 0; at < sends.length; at++) {
      const { records, ack } = sends[at]!;
      for (const { value } of records) expect(Buffer.byteLength(value ?? '')).toBeLessThanOrEqual(16_384);
      expect(records.reduce((sum, { value }) => sum + Buffer.byteLength(value ?? ''), 0)).toBeLessThanOrEqual(
        maxPartitionSendBytes,
      );
      seen.push(...Object.values(eventIds(records)).flat());
      ack();
      await settle();
    }
    await appended;
    expect(sends.length).toBeGreaterThan(1);
    expect(seen).toEqual(Array.from({ length: 60_000 }, (_, i) => `e${i}`));
  });

  it('rejects only the requests whose send failed', async () => {
    const { sends, log } = setUp({ lingerMs: 0 });
    const first = outcomeOf(append(log, [click('e1')]));
    const second = outcomeOf(append(log, [click('e2')]));
    sends[0]!.fail();
    await settle();
    expect([first.now, second.now]).toEqual(['retryable', 'pending']);
    sends[1]!.ack();
    await settle();
    expect(second.now).toBe('acknowledged');
  });

  it('rejects a request when one of its sends failed, though another succeeded', async () => {
    const { sends, log } = setUp({ lingerMs: 0, maxBufferBytes: 64 << 20 });
    const outcome = outcomeOf(
      append(
        log,
        Array.from({ length: 60_000 }, (_, i) => click(`e${i}`)),
      ),
    );
    sends[0]!.ack();
    await settle();
    expect(outcome.now).toBe('pending');
    sends[1]!.fail();
    await settle();
    expect(outcome.now).toBe('retryable');
    await settle();
    expect(log.pendingBytes).toBe(0);
    expect(sends).toHaveLength(2);
  });

  it('refuses at once and appends nothing when the buffer is full', async () => {
    const { sends, log } = setUp({ lingerMs: 0, maxBufferBytes: 400 });
    void append(log, [click('e1')]);
    void append(log, [click('e2')]);
    await expect(append(log, [click('e3'), click('e4')])).rejects.toThrow(/buffer is full/);
    sends[0]!.ack();
    await settle();
    expect(Object.values(eventIds(sends[1]!.records))).toEqual([['e2']]);
  });

  it('takes clicks again when the buffer has room', async () => {
    const { sends, log } = setUp({ lingerMs: 0, maxBufferBytes: 200 });
    void append(log, [click('e1')]);
    await expect(append(log, [click('e2')])).rejects.toBeInstanceOf(Retryable);
    sends[0]!.ack();
    await settle();
    const outcome = outcomeOf(append(log, [click('e2')]));
    sends[1]!.ack();
    await settle();
    expect(outcome.now).toBe('acknowledged');
  });

  it('refuses fast after a failed send, and recovers by itself', async () => {
    const { sends, log } = setUp({ lingerMs: 0 });
    const first = outcomeOf(append(log, [click('e1')]));
    sends[0]!.fail();
    await settle();
    expect(first.now).toBe('retryable');
    await expect(append(log, [click('e2')])).rejects.toThrow(/broker away/);
    expect(sends).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(backOffMs);
    const again = outcomeOf(append(log, [click('e2')]));
    sends[1]!.ack();
    await settle();
    expect(again.now).toBe('acknowledged');
    expect(log.refusal()).toBeUndefined();
  });

  it('gives a click up after the timeout though the producer hangs, and does not send what waited behind it', async () => {
    const { sends, log } = setUp({ lingerMs: 0 });
    const sent = outcomeOf(append(log, [click('e1')]));
    const queued = outcomeOf(append(log, [click('e2')]));
    await vi.advanceTimersByTimeAsync(timeoutMs);
    expect([sent.now, queued.now]).toEqual(['retryable', 'retryable']);
    sends[0]!.ack();
    await settle();
    // What the broker has acknowledged after all is said, without a line of what waited.
    expect(sends[1]?.records.map(({ value }) => value)).toEqual(['']);
    sends[1]!.ack();
    await settle();
    expect([sends.length, log.pendingBytes]).toEqual([2, 0]);
    const later = outcomeOf(append(log, [click('e3')]));
    sends[2]!.ack();
    await settle();
    expect(later.now).toBe('acknowledged');
  });

  it('goes on with other partitions while one is not acknowledged, and refuses at once only what failed', async () => {
    const { sends, log } = setUp({ lingerMs: 0, partitionFor: ({ adId }) => Number(adId) });
    const slow = outcomeOf(append(log, [click('e1', '0')]));
    const quick = outcomeOf(append(log, [click('e2', '1')]));
    sends[1]!.ack();
    await settle();
    expect([slow.now, quick.now]).toEqual(['pending', 'acknowledged']);
    sends[0]!.fail();
    await settle();
    await expect(append(log, [click('e3', '1'), click('e4', '0')])).rejects.toThrow(/broker away/);
    expect([sends.length, log.pendingBytes]).toEqual([2, 0]);
    void append(log, [click('e5', '1')]);
    expect(sends).toHaveLength(3);
  });

  it('lets no partition fill the buffer for all', async () => {
    const partitionFor = ({ adId }: RoutedClick) => Number(adId);
    const { sends, log } = setUp({ lingerMs: 0, partitionFor, maxBufferBytes: 64 << 20 });
    const fill = () =>
      append(
        log,
        Array.from({ length: 10_000 }, (_, i) => click(`e${i}`, '0')),
      );
    const outcomes: { now: string }[] = [];
    for (let i = 0; i < 30; i++) outcomes.push(outcomeOf(fill()));
    await settle();
    expect(outcomes.at(-1)?.now).toBe('retryable');
    expect(log.pendingBytes).toBeLessThan((64 << 20) / 2);
    void append(log, [click('e', '1')]);
    expect(sends.at(-1)?.partition).toBe(1);
  });

  it('sends to a partition it has never heard of before', () => {
    const { sends, log } = setUp({ lingerMs: 0, partitionFor: () => 40_000 });
    void append(log, [click('e')]);
    expect(sends[0]?.partition).toBe(40_000);
  });

  it('says in each record what was acknowledged before, and in a record without lines where none follows', async () => {
    const { sends, log } = setUp({ lingerMs: 0, partitionFor: () => 0 });
    const told = (i: number) => sends[i]!.records.map(({ headers }) => readAcks(acksOf(headers) ?? ''));
    void append(log, [click('e1'), click('e2')]);
    sends[0]!.ack();
    await settle();
    outcomeOf(append(log, [click('e3')]));
    sends[1]!.fail();
    await vi.advanceTimersByTimeAsync(500);
    expect(sends).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(2 * backOffMs);
    expect(sends[2]?.records.map(({ value }) => value)).toEqual(['']);
    sends[2]!.ack();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(sends).toHaveLength(3);
    expect(told(0)).toEqual([expect.objectContaining({ writer, batch: 1, lines: 2, last: 0, total: 0 })]);
    expect(told(1)).toEqual([expect.objectContaining({ writer, batch: 2, lines: 1, last: 1, total: 2 })]);
    expect(told(2)).toEqual([expect.objectContaining({ writer, batch: 3, lines: 0, last: 1, total: 2 })]);
  });

  it('says at its end what no record has said yet', async () => {
    const { sends, log } = setUp({ lingerMs: 0 });
    void append(log, [click('e1')]);
    sends[0]!.ack();
    const disposed = log[Symbol.asyncDispose]();
    await settle();
    expect(sends[1]?.records.map(({ value }) => value)).toEqual(['']);
    sends[1]!.ack();
    await disposed;
  });

  it('drains without lingering and takes nothing afterwards', async () => {
    const { sends, log } = setUp({ lingerMs: 1_000 });
    const outcome = outcomeOf(append(log, [click('e1')]));
    const disposed = log[Symbol.asyncDispose]();
    await settle();
    sends[0]!.ack();
    await settle();
    sends[1]!.ack();
    await disposed;
    expect(outcome.now).toBe('acknowledged');
    await expect(append(log, [click('e2')])).rejects.toThrow(/stopping/);
  });
});
