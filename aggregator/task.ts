/**
 * Owns one partition of `clicks` from its assignment until it is closed: it fences, fetches, restores, counts and commits.
 *
 * 1. Fence: a new transactional producer aborts the transaction that a former owner left open, and takes away that
 *    owner's right to write.
 * 2. Fetch the committed offset C and the checkpoint that is stored with it. This happens only after the fence. Before
 *    it, a commit of the former owner could still arrive, and its rows would be written twice.
 * 3. Restore: read again from the checkpoint to C without writing. The state is a function of the log, and it is stored
 *    nowhere else.
 * 4. Run: process the batches. After every commit interval, one transaction writes the changed rows, the progress, the
 *    quarantined lines and the offset.
 * 5. On any error, drop the producer and the state, and start again. A commit is never repeated: only the committed
 *    offset shows whether it took effect. A record of an unknown format halts the task, once everything before that
 *    record is committed.
 *
 * The task processes further batches while a commit is in progress, because the commit's content was drained before. At
 * most one commit is in progress. The time of a commit (commit-pace.ts) never decides what is counted. Lines and bytes
 * bound what one commit holds.
 */
import { Corrupt, messageOf, UnknownFormat } from '../infra/errors.ts';
import { type FetchedBatch, whileBeating } from '../infra/kafka/group-consumer.ts';
import { assertKnown } from '../infra/kafka/record-contract.ts';
import type { Logger } from '../infra/log.ts';
import { acksOf } from '../ingest/ack-chain.ts';
import { clickContract } from '../ingest/click-records.ts';
import { commitDueAfterMs } from './commit-pace.ts';
import { PartitionAggregator } from './core/partition-aggregator.ts';
import { createIdleTicks, type IdleTicks } from './idle-ticks.ts';
import * as metrics from './metrics.ts';
import { RulesWait } from './rules-wait.ts';
import { startingCheckpoint } from './starting-checkpoint.ts';
import type { TaskPorts, TaskSettings, TaskWriter } from './task-ports.ts';
import { type TaskState, transition } from './task-state.ts';
import { transactionOf } from './transaction.ts';

/** Quarantined lines wait in memory for the next commit. This many bytes of them cause one at once. */
const maxQuarantineBytes = 8 << 20;
const longestRestartPauseMs = 5_000;
/** After failed commits, the limit of lines is halved down to this. */
const fewestLines = 10_000;

export class PartitionTask {
  readonly partition: number;
  readonly #topic: string;
  readonly #settings: TaskSettings;
  readonly #ports: TaskPorts;
  readonly #log: Logger;
  #state: TaskState = 'starting';
  /** Why the task is halted. Empty while it is not. */
  haltedBy = '';
  #aggregator: PartitionAggregator | undefined;
  #writer: TaskWriter | undefined;
  /** The restore ends here. */
  #committedOffset = 0;
  #highWatermark = 0;
  /** Whether the last fetch did not reach the end of the log. */
  #isBehind = false;
  /** Whether the task has been behind at any time since the last commit. */
  #hasCaughtUp = false;
  #commit: Promise<void> | undefined;
  #lastCommitAt = 0;
  readonly #ticks: IdleTicks;
  readonly rulesWait: RulesWait;
  /** How often the task has started again since its last successful commit. */
  restarts = 0;
  /** A commit is made at once when this many lines are pending. */
  #mostLines: number;

  constructor(settings: TaskSettings, ports: TaskPorts, log: Logger) {
    this.partition = settings.aggregator.partition;
    this.#topic = settings.names.topic('clicks');
    this.#settings = settings;
    this.#mostLines = settings.commitMaxLines;
    this.#ports = ports;
    this.#log = log.child({ partition: this.partition });
    this.#ticks = createIdleTicks(settings.tickIntervalMs, () => ports.appendTick(), this.#log);
    this.rulesWait = new RulesWait(ports.rulesKnownUntil, waits => metrics.waitsForRules(this.partition, waits));
  }

  get state(): TaskState {
    return this.#state;
  }

  /** Everything before this offset is written. During a restore, which may take long, it has been read again. */
  get reached(): number {
    return this.#state === 'restoring' ? (this.position ?? 0) : this.#committedOffset;
  }

  get position(): number | undefined {
    return this.#aggregator?.position;
  }

  /** Never rejects. After an error it tries again, with a pause in between. A contradiction halts the task. */
  async start(): Promise<void> {
    while (this.#state === 'starting') {
      try {
        await this.#begin();
        return;
      } catch (error) {
        await this.#closeWriter();
        if (this.#isClosed()) return;
        if (error instanceof Corrupt) return this.#halt(error);
        const pauseMs = Math.min(longestRestartPauseMs, 100 * 2 ** this.restarts++);
        this.#log.warn({ why: messageOf(error), pauseMs }, 'task cannot start yet');
        await new Promise(resolve => setTimeout(resolve, pauseMs));
      }
    }
  }

  async onBatch(batch: FetchedBatch): Promise<void> {
    const aggregator = this.#aggregator;
    if (aggregator === undefined || (this.#state !== 'running' && this.#state !== 'restoring')) return;
    if (batch.fetchedOffset !== aggregator.position) {
      // It was fetched before a seek or a rebalance. Processing it could skip the records in between.
      this.#log.debug({ fetched: batch.fetchedOffset, position: aggregator.position }, 'stale batch dropped');
      this.#ports.readFrom(aggregator.position);
      return;
    }
    this.#highWatermark = batch.highWatermark;
    this.#isBehind = batch.nextOffset < batch.highWatermark;
    this.#hasCaughtUp ||= this.#isBehind;
    const watermark = aggregator.watermark;
    try {
      if (!(await this.#process(batch, aggregator))) return;
    } catch (error) {
      if (error instanceof UnknownFormat) return await this.#haltBefore(error, batch, aggregator);
      // The batch may be half processed, and nothing of that may ever be written.
      return this.#restart('processing a batch failed', error, aggregator);
    }
    aggregator.advanceTo(batch.nextOffset);
    if (this.#state === 'restoring' && aggregator.position >= this.#committedOffset) this.#endRestore(aggregator);
    if (aggregator.watermark > watermark) this.#ticks.watermarkMoved(this.#ports.now());
    this.onTimer();
  }

  /** Returns false when the rest is delivered again: rules are not known yet, the task began again, or a rebalance came. */
  async #process(batch: FetchedBatch, aggregator: PartitionAggregator): Promise<boolean> {
    for (const record of batch.records) {
      const { offset, timestamp, bytes = record.value, valueStart, valueEnd, headers } = record;
      assertKnown(clickContract, batch, record);
      if (this.rulesWait.beginsAt(record)) {
        aggregator.flush();
        this.#ports.pause();
        return false;
      }
      if (this.#state === 'restoring' && offset >= this.#committedOffset) this.#endRestore(aggregator);
      aggregator.process(offset, timestamp, bytes, valueStart, valueEnd, acksOf(headers));
      const { lines, quarantineBytes } = aggregator.pending;
      if (this.#state === 'running' && (lines >= this.#mostLines || quarantineBytes >= maxQuarantineBytes)) {
        // The commit also counts the clicks that wait in the group.
        await whileBeating(batch, this.#commitNow());
        if (this.#aggregator !== aggregator || aggregator.position !== offset + 1) return false;
      }
    }
    // The consumer uses the batch's memory again (`keepsRecords`), so no click may wait in it.
    aggregator.flush();
    return true;
  }

  /** Is called for offsets `[firstOffset, nextOffset)`, which hold only control records. */
  onGap(firstOffset: number, nextOffset: number): void {
    const aggregator = this.#aggregator;
    if (aggregator === undefined || firstOffset !== aggregator.position) return;
    aggregator.advanceTo(nextOffset);
    if (this.#state === 'restoring' && nextOffset >= this.#committedOffset) this.#endRestore(aggregator);
  }

  /** Is called every few tens of milliseconds. Commits and appends ticks when they are due. */
  onTimer(): void {
    const aggregator = this.#aggregator;
    this.rulesWait.whenOver(() => this.resume());
    if (this.#state !== 'running' || aggregator === undefined) return;
    const [now, lines, tasks] = [this.#ports.now(), aggregator.pending.lines, this.#ports.tasks()];
    const pace = { isBehind: this.#isBehind, hasCaughtUp: this.#hasCaughtUp, lines, tasks };
    const isDue = now - this.#lastCommitAt >= commitDueAfterMs(this.#settings, pace);
    if (isDue && this.#commit === undefined) void this.#commitNow();
    void this.#ticks.onTimer(now, () => ({
      isAtEnd: aggregator.position >= this.#highWatermark,
      watermark: aggregator.watermark,
      openWindows: aggregator.state.windows,
    }));
  }

  /** Is called after a rebalance that left the partition here. The consumer has lost its position and pause; the state is intact. */
  resume(): void {
    if (this.#aggregator !== undefined) this.#ports.readFrom(this.#aggregator.position);
    else this.#ports.pause();
  }

  /** Ends the task for good. With `commit`, everything counted so far is written first. */
  async close({ commit }: { readonly commit: boolean }): Promise<void> {
    if (commit && this.#state === 'running') {
      await this.#commit;
      await this.#commitNow();
    }
    // A second close may have come first while this one waited for its commit.
    if (!this.#isClosed()) this.#transitionTo('closed');
    this.#aggregator = undefined;
    metrics.forget(this.#topic, this.partition);
    await this.#closeWriter();
  }

  async #begin(): Promise<void> {
    // Throws when another task may own the partition by now. Fencing that task would only disturb it.
    this.#ports.pause();
    this.#writer = await this.#ports.openWriter();
    const [committed, range] = [await this.#ports.committed(), await this.#ports.range()];
    // When it was closed during the waits, another task may own the partition, and nothing may be read for it here.
    if (this.#isClosed()) return this.#closeWriter();
    const checkpoint = startingCheckpoint(committed, range, this.#settings.withoutCommit);
    const aggregator = new PartitionAggregator(this.#settings.aggregator, checkpoint);
    // This comes first because it throws while the consumer is joining its group again. The task must then not look started.
    this.#ports.readFrom(aggregator.position);
    this.#aggregator = aggregator;
    this.#committedOffset = committed?.offset ?? checkpoint.restoreFrom;
    this.#highWatermark = range.end;
    this.#lastCommitAt = this.#ports.now();
    this.#transitionTo('restoring');
    this.#log.info(
      { restoreFrom: checkpoint.restoreFrom, committed: this.#committedOffset, end: range.end },
      'task started',
    );
    if (aggregator.position >= this.#committedOffset) this.#endRestore(aggregator);
  }

  #endRestore(aggregator: PartitionAggregator): void {
    aggregator.endRestore();
    this.#transitionTo('running');
    this.#ticks.begin(this.#ports.now());
    metrics.restored(this.#topic, this.partition, aggregator);
    this.#log.info(
      { position: aggregator.position, watermark: aggregator.watermark, ...aggregator.state },
      'task is counting',
    );
  }

  /** Never rejects. A failed commit restarts the task. */
  async #commitNow(): Promise<void> {
    while (this.#commit !== undefined) await this.#commit;
    const [aggregator, writer] = [this.#aggregator, this.#writer];
    if (aggregator === undefined || writer === undefined || this.#state !== 'running') return;
    this.#lastCommitAt = this.#ports.now();
    this.#hasCaughtUp = false;
    if (aggregator.position === this.#committedOffset) return;
    this.#commit = this.#write(aggregator, writer)
      .catch(error => {
        // A transaction that is too large to finish in time may succeed in smaller pieces.
        if (this.#mostLines > fewestLines) this.#mostLines /= 2;
        this.#restart('commit failed', error, aggregator);
      })
      .finally(() => {
        this.#commit = undefined;
      });
    await this.#commit;
  }

  async #write(aggregator: PartitionAggregator, writer: TaskWriter): Promise<void> {
    const startedAt = this.#ports.now();
    const output = aggregator.drain();
    const partitions = this.#ports.partitionsAt(output.progress.watermark);
    await writer.commit(transactionOf(this.partition, this.#settings.names, output, partitions));
    this.#mostLines = Math.min(this.#settings.commitMaxLines, this.#mostLines * 2);
    this.#committedOffset = output.position;
    this.restarts = 0;
    if (this.#aggregator === aggregator) metrics.committed(output, aggregator.state, this.#ports.now() - startedAt);
  }

  #restart(what: string, error: unknown, failed: PartitionAggregator): void {
    if (this.#aggregator !== failed || this.#isClosed()) return;
    // The first restart comes at once. Further ones wait, so that a lasting failure is not repeated without a pause.
    const pauseMs = this.restarts === 0 ? 0 : Math.min(longestRestartPauseMs, 100 * 2 ** this.restarts);
    this.restarts++;
    this.#log.warn({ why: messageOf(error), pauseMs }, `${what}, task starts again`);
    metrics.restarts.inc();
    this.#aggregator = undefined;
    this.#transitionTo('starting');
    void this.#closeWriter()
      .then(() => new Promise(resolve => setTimeout(resolve, pauseMs)))
      .then(() => this.start());
  }

  /** Commits everything before the unknown record, so that a newer release begins exactly there. */
  async #haltBefore(error: UnknownFormat, batch: FetchedBatch, aggregator: PartitionAggregator): Promise<void> {
    await whileBeating(batch, this.#commitNow());
    // If the commit failed, the task has started again and will reach this record again.
    if (this.#aggregator !== aggregator || this.#isClosed()) return;
    this.#aggregator = undefined;
    this.#halt(error);
    await this.#closeWriter();
  }

  /** Stops reading. The partition is paused now and again after each rebalance (`resume`), and without state the task drops batches. */
  #halt(error: Corrupt): void {
    this.#transitionTo('halted');
    this.haltedBy = error.message;
    metrics.halt(this.#topic, this.partition, error);
    this.#log.error({ why: error.message }, 'task halted: the reason says what to do');
    try {
      this.#ports.pause();
    } catch {} // It is no member of its group now. Batches that arrive before the next rebalance are dropped.
  }

  /** The only place where the state changes. */
  #transitionTo(state: TaskState): void {
    this.#state = transition(this.#state, state);
    if (state !== 'running') this.rulesWait.end();
  }

  /** A method, because the compiler would otherwise assume that `#state` cannot change during an await. */
  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  async #closeWriter(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    await writer?.[Symbol.asyncDispose]();
  }
}
