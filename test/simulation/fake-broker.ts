/**
 * The broker of a simulation: what of Kafka this pipeline rests on, as a state machine without time of its own.
 *
 * Modelled on purpose, because the protocol lives on it (each is held to the real broker by contract.ts):
 * - append times, set here, which may step back a little, as with clocks of different leaders;
 * - transactions: pending records hold back the last stable offset and are hidden from read_committed; a commit is decided
 *   first and becomes visible later, in each partition at its own time, offsets too;
 * - InitProducerId ends the former owner's transaction and its right to write, and answers only when that is complete;
 * - requests of a former epoch are refused; what comes late into an ended transaction is refused;
 * - a batch is known by its producer's sequence numbers: once more it is told so, out of order it is refused;
 * - groups: an assignment is a matter of opinion: a member learns of a new generation by its heartbeat, until then it
 *   goes on; commits of a former generation are refused.
 */
import type { ProduceBatch } from '../../infra/kafka/produce-request.ts';
import type { SeededRandom } from './seeded-random.ts';

/** As the protocol numbers them. */
const errorCodes = {
  DUPLICATE_SEQUENCE_NUMBER: 46,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_TXN_STATE: 48,
  INVALID_PRODUCER_ID_MAPPING: 49,
  CONCURRENT_TRANSACTIONS: 51,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
} as const;

const nodes = 3;

export class BrokerError extends Error {
  readonly type: string;

  constructor(type: string) {
    super(type);
    this.type = type;
  }
}

export interface Message {
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Entry extends Message {
  readonly offset: number;
  readonly appendedAt: number;
  /** A marker of a transaction's end. */
  readonly control: boolean;
  state: 'committed' | 'pending' | 'aborted';
}

export interface Fetched {
  /** In offset order; without those that the isolation hides. */
  readonly entries: readonly Entry[];
  readonly nextOffset: number;
  readonly highWatermark: number;
}

export interface CommittedOffset {
  readonly offset: number;
  readonly metadata: string;
}

export interface Assignment {
  readonly memberId: string;
  readonly generation: number;
  readonly partitions: ReadonlyMap<string, readonly number[]>;
}

/** What was committed as one. */
export interface CommittedTransaction {
  readonly transactionalId: string;
  readonly entries: readonly { readonly topic: string; readonly partition: number; readonly entry: Entry }[];
  readonly offsets: readonly { readonly topic: string; readonly partition: number; readonly commit: CommittedOffset }[];
}

export interface BrokerSurroundings {
  now(): number;
  /** The clock of the partition's leader, epoch ms. */
  appendTime(): number;
  /** Runs `effect` some time later. */
  later(effect: () => void): void;
  readonly random: SeededRandom;
  /** Told of every record of every topic, when it is appended. */
  onAppend?(topic: string, partition: number, entry: Entry): void;
  /** Told when the outcome is decided. */
  onCommit?(transaction: CommittedTransaction): void;
}

class PartitionLog {
  readonly entries: Entry[] = [];
  readonly waiting = new Set<() => void>();
  /** By producer id, its last batch here: what is not its next one, and not this one once more, is refused. */
  readonly sequences = new Map<string, { readonly epoch: number; readonly first: number; readonly next: number }>();
  /** By transaction, the offset of its first record. */
  readonly open = new Map<Transaction, number>();
  start = 0;

  get end(): number {
    return this.entries.length;
  }

  get lastStable(): number {
    return Math.min(this.end, ...this.open.values());
  }
}

interface Transaction {
  readonly transactionalId: string;
  readonly producerId: string;
  epoch: number;
  state: 'empty' | 'ongoing' | 'completing';
  timeoutMs: number;
  startedAt: number;
  readonly partitions: Map<PartitionLog, { topic: string; partition: number; entries: Entry[] }>;
  readonly groups: Map<string, Map<string, CommittedOffset>>;
}

interface Group {
  generation: number;
  readonly members: Map<
    string,
    { topics: readonly string[]; sessionMs: number; seenAt: number; assigned: Map<string, number[]> }
  >;
  readonly offsets: Map<string, CommittedOffset>;
}

export class FakeBroker {
  readonly #surroundings: BrokerSurroundings;
  readonly #topics = new Map<string, PartitionLog[]>();
  readonly #transactions = new Map<string, Transaction>();
  readonly #groups = new Map<string, Group>();
  #members = 0;
  #producers = 0;

  constructor(surroundings: BrokerSurroundings) {
    this.#surroundings = surroundings;
  }

  createTopic(topic: string, partitions: number): void {
    this.#topics.set(
      topic,
      Array.from({ length: partitions }, () => new PartitionLog()),
    );
  }

  /** Members learn of it when their leader asks for the topics again, which is for the caller to decide: `rebalance`. */
  growTopic(topic: string, partitions: number): void {
    const logs = this.#topics.get(topic);
    while (logs && logs.length < partitions) logs.push(new PartitionLog());
  }

  topics(): readonly string[] {
    return [...this.#topics.keys()];
  }

  partitionsOf(topic: string): number {
    return this.#topics.get(topic)?.length ?? 0;
  }

  // Records

  append(topic: string, partition: number, messages: readonly Message[]): void {
    const log = this.#log(topic, partition);
    this.#append(topic, partition, log, messages, 'committed', false);
    wake(log);
  }

  /** Offsets without records, as a foreign producer's transaction leaves them behind. */
  appendMarker(topic: string, partition: number): void {
    const log = this.#log(topic, partition);
    this.#append(topic, partition, log, [{ value: null }], 'committed', true);
    wake(log);
  }

  fetch(
    topic: string,
    partition: number,
    from: number,
    isolation: 'read_committed' | 'read_uncommitted',
    most: number,
  ): Fetched {
    const log = this.#log(topic, partition);
    if (from < log.start || from > log.end) throw new BrokerError('OFFSET_OUT_OF_RANGE');
    const limit = Math.min(isolation === 'read_committed' ? log.lastStable : log.end, from + most);
    const scanned = log.entries.slice(from, limit);
    return {
      entries: scanned.filter(
        entry => !entry.control && (isolation === 'read_uncommitted' || entry.state === 'committed'),
      ),
      nextOffset: Math.max(from, limit),
      highWatermark: log.end,
    };
  }

  /** Calls back once, at the next append. */
  awaitAppend(topic: string, partition: number, callback: () => void): void {
    this.#log(topic, partition).waiting.add(callback);
  }

  range(topic: string, partition: number): { start: number; end: number; lastStable: number } {
    const log = this.#log(topic, partition);
    return { start: log.start, end: log.end, lastStable: log.lastStable };
  }

  deleteBefore(topic: string, partition: number, offset: number): void {
    const log = this.#log(topic, partition);
    log.start = Math.max(log.start, Math.min(offset, log.lastStable));
  }

  /** All committed records, also those that retention has removed. */
  committedEntries(topic: string, partition: number): Entry[] {
    return this.#log(topic, partition).entries.filter(entry => !entry.control && entry.state === 'committed');
  }

  // Producers

  /** Who leads what: as many brokers as there are, each partition with another. */
  leaders(topic: string): Map<number, number> {
    return new Map(Array.from({ length: this.partitionsOf(topic) }, (_, partition) => [partition, partition % nodes]));
  }

  newProducer(): { producerId: string; producerEpoch: number } {
    return { producerId: `p${++this.#producers}`, producerEpoch: 0 };
  }

  /** @returns the error code of the partition */
  produceBatch(
    { topic, partition, producer, firstSequence }: Omit<ProduceBatch, 'records'>,
    messages: readonly Message[],
    transactionalId: string | undefined,
  ): number {
    const { producerId, producerEpoch: epoch } = producer;
    const log = this.#log(topic, partition);
    if (firstSequence === -1) {
      this.append(topic, partition, messages);
      return 0;
    }
    const last = log.sequences.get(producerId);
    if (last?.epoch === epoch && last.first === firstSequence) return errorCodes.DUPLICATE_SEQUENCE_NUMBER;
    const expected = last?.epoch === epoch ? last.next : 0;
    if (firstSequence !== expected) return errorCodes.OUT_OF_ORDER_SEQUENCE_NUMBER;
    try {
      if (transactionalId === undefined) this.append(topic, partition, messages);
      else this.produce(transactionalId, epoch, topic, partition, messages);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      return errorCodes[error.type as keyof typeof errorCodes];
    }
    log.sequences.set(producerId, { epoch, first: firstSequence, next: firstSequence + messages.length });
    return 0;
  }

  // Transactions

  /** @returns the identity with which the caller may write, and nobody before it */
  initTransactions(transactionalId: string, timeoutMs: number): { producerId: string; producerEpoch: number } {
    const producerEpoch = this.#initProducerId(transactionalId, timeoutMs);
    return { producerId: this.#transactions.get(transactionalId)!.producerId, producerEpoch };
  }

  #initProducerId(transactionalId: string, timeoutMs: number): number {
    const transaction = this.#transactions.get(transactionalId) ?? this.#newTransaction(transactionalId);
    if (transaction.state === 'completing') throw new BrokerError('CONCURRENT_TRANSACTIONS');
    transaction.epoch++;
    transaction.timeoutMs = timeoutMs;
    if (transaction.state === 'ongoing') {
      this.#end(transaction, false);
      throw new BrokerError('CONCURRENT_TRANSACTIONS');
    }
    return transaction.epoch;
  }

  addPartition(transactionalId: string, epoch: number, topic: string, partition: number): void {
    const transaction = this.#owned(transactionalId, epoch);
    this.#begin(transaction);
    const log = this.#log(topic, partition);
    if (!transaction.partitions.has(log)) transaction.partitions.set(log, { topic, partition, entries: [] });
  }

  produce(
    transactionalId: string,
    epoch: number,
    topic: string,
    partition: number,
    messages: readonly Message[],
  ): void {
    const transaction = this.#owned(transactionalId, epoch);
    const log = this.#log(topic, partition);
    const part = transaction.partitions.get(log);
    if (transaction.state !== 'ongoing' || part === undefined) throw new BrokerError('INVALID_TXN_STATE');
    if (!log.open.has(transaction)) log.open.set(transaction, log.end);
    part.entries.push(...this.#append(topic, partition, log, messages, 'pending', false));
  }

  addOffsets(transactionalId: string, epoch: number, group: string): void {
    const transaction = this.#owned(transactionalId, epoch);
    this.#begin(transaction);
    if (!transaction.groups.has(group)) transaction.groups.set(group, new Map());
  }

  commitOffsetsIn(
    transactionalId: string,
    epoch: number,
    group: string,
    topic: string,
    partition: number,
    commit: CommittedOffset,
  ): void {
    const transaction = this.#owned(transactionalId, epoch);
    const pending = transaction.groups.get(group);
    if (transaction.state !== 'ongoing' || pending === undefined) throw new BrokerError('INVALID_TXN_STATE');
    pending.set(keyOf(topic, partition), commit);
  }

  endTransaction(transactionalId: string, epoch: number, commit: boolean): void {
    const transaction = this.#owned(transactionalId, epoch);
    if (transaction.state !== 'ongoing') throw new BrokerError('INVALID_TXN_STATE');
    this.#end(transaction, commit);
  }

  // Groups

  join(groupId: string, memberId: string | undefined, topics: readonly string[], sessionMs: number): Assignment {
    const group = this.#group(groupId);
    const known = memberId === undefined ? undefined : group.members.get(memberId);
    const id = known && memberId !== undefined ? memberId : `member-${++this.#members}`;
    const seenAt = this.#surroundings.now();
    if (known) known.seenAt = seenAt;
    else {
      group.members.set(id, { topics, sessionMs, seenAt, assigned: new Map() });
      this.#rebalance(group);
    }
    return { memberId: id, generation: group.generation, partitions: group.members.get(id)!.assigned };
  }

  heartbeat(groupId: string, memberId: string, generation: number): void {
    const group = this.#group(groupId);
    const member = group.members.get(memberId);
    if (member === undefined) throw new BrokerError('UNKNOWN_MEMBER_ID');
    member.seenAt = this.#surroundings.now();
    if (generation !== group.generation) throw new BrokerError('REBALANCE_IN_PROGRESS');
  }

  leave(groupId: string, memberId: string): void {
    const group = this.#group(groupId);
    if (group.members.delete(memberId)) this.#rebalance(group);
  }

  rebalance(groupId: string): void {
    this.#rebalance(this.#group(groupId));
  }

  commitOffset(
    groupId: string,
    memberId: string,
    generation: number,
    topic: string,
    partition: number,
    commit: CommittedOffset,
  ): void {
    const group = this.#group(groupId);
    if (!group.members.has(memberId)) throw new BrokerError('UNKNOWN_MEMBER_ID');
    if (generation !== group.generation) throw new BrokerError('ILLEGAL_GENERATION');
    group.offsets.set(keyOf(topic, partition), commit);
  }

  committedOffset(groupId: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.#group(groupId).offsets.get(keyOf(topic, partition));
  }

  /** To be called now and then: ends sessions and transactions whose time is up. */
  expire(): void {
    const now = this.#surroundings.now();
    for (const group of this.#groups.values()) {
      const gone = [...group.members].filter(([, { seenAt, sessionMs }]) => now - seenAt > sessionMs);
      for (const [id] of gone) group.members.delete(id);
      if (gone.length > 0) this.#rebalance(group);
    }
    for (const transaction of this.#transactions.values()) {
      if (transaction.state !== 'ongoing' || now - transaction.startedAt <= transaction.timeoutMs) continue;
      transaction.epoch++;
      this.#end(transaction, false);
    }
  }

  #append(
    topic: string,
    partition: number,
    log: PartitionLog,
    messages: readonly Message[],
    state: Entry['state'],
    control: boolean,
  ): Entry[] {
    // One append time for all records of a batch.
    const appendedAt = Math.floor(this.#surroundings.appendTime());
    return messages.map(message => {
      const entry = { ...message, offset: log.end, appendedAt, control, state };
      log.entries.push(entry);
      this.#surroundings.onAppend?.(topic, partition, entry);
      return entry;
    });
  }

  #newTransaction(transactionalId: string): Transaction {
    const made: Transaction = {
      transactionalId,
      producerId: `p${++this.#producers}`,
      epoch: -1,
      state: 'empty',
      timeoutMs: 0,
      startedAt: 0,
      partitions: new Map(),
      groups: new Map(),
    };
    this.#transactions.set(transactionalId, made);
    return made;
  }

  #owned(transactionalId: string, epoch: number): Transaction {
    const transaction = this.#transactions.get(transactionalId);
    if (transaction === undefined) throw new BrokerError('INVALID_PRODUCER_ID_MAPPING');
    if (transaction.epoch !== epoch) throw new BrokerError('INVALID_PRODUCER_EPOCH');
    if (transaction.state === 'completing') throw new BrokerError('CONCURRENT_TRANSACTIONS');
    return transaction;
  }

  #begin(transaction: Transaction): void {
    if (transaction.state !== 'empty') return;
    transaction.state = 'ongoing';
    transaction.startedAt = this.#surroundings.now();
  }

  /** Decided here; every partition and every group learns of it at its own time. */
  #end(transaction: Transaction, commit: boolean): void {
    transaction.state = 'completing';
    if (commit) this.#surroundings.onCommit?.(contentOf(transaction));
    let left = transaction.partitions.size + transaction.groups.size;
    const complete = (effect: () => void) => {
      this.#surroundings.later(() => {
        effect();
        if (--left > 0) return;
        transaction.state = 'empty';
        transaction.partitions.clear();
        transaction.groups.clear();
      });
    };
    for (const [log, { topic, partition, entries }] of transaction.partitions) {
      complete(() => {
        for (const entry of entries) entry.state = commit ? 'committed' : 'aborted';
        log.open.delete(transaction);
        this.#append(topic, partition, log, [{ value: null }], 'committed', true);
        wake(log);
      });
    }
    for (const [groupId, offsets] of transaction.groups) {
      complete(() => {
        if (commit) for (const [key, offset] of offsets) this.#group(groupId).offsets.set(key, offset);
      });
    }
    if (left === 0) complete(() => {});
  }

  #group(groupId: string): Group {
    let group = this.#groups.get(groupId);
    if (group === undefined) {
      group = { generation: 0, members: new Map(), offsets: new Map() };
      this.#groups.set(groupId, group);
    }
    return group;
  }

  /** Any sharing out is right: correctness may not depend on who gets what. */
  #rebalance(group: Group): void {
    group.generation++;
    const { random } = this.#surroundings;
    for (const member of group.members.values()) {
      member.assigned = new Map(member.topics.map(topic => [topic, []]));
    }
    const topics = new Set([...group.members.values()].flatMap(member => member.topics));
    for (const topic of topics) {
      const takers = random.shuffled([...group.members.values()].filter(member => member.topics.includes(topic)));
      for (let p = 0; p < this.partitionsOf(topic); p++) takers[p % takers.length]?.assigned.get(topic)?.push(p);
    }
  }

  #log(topic: string, partition: number): PartitionLog {
    const log = this.#topics.get(topic)?.[partition];
    if (log === undefined) throw new BrokerError('UNKNOWN_TOPIC_OR_PARTITION');
    return log;
  }
}

function contentOf({ transactionalId, partitions, groups }: Transaction): CommittedTransaction {
  return {
    transactionalId,
    entries: [...partitions.values()].flatMap(({ topic, partition, entries }) =>
      entries.map(entry => ({ topic, partition, entry })),
    ),
    offsets: [...groups.values()].flatMap(offsets =>
      [...offsets].map(([key, commit]) => {
        const at = key.lastIndexOf('/');
        return { topic: key.slice(0, at), partition: Number(key.slice(at + 1)), commit };
      }),
    ),
  };
}

function keyOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

function wake(log: PartitionLog): void {
  const waiting = [...log.waiting];
  log.waiting.clear();
  for (const callback of waiting) callback();
}
