/**
 * Owns one partition of `clicks` for one term: fence → fetch → restore → run → commit.
 *
 * 1. Fence: a new transactional producer ends whatever a former owner left open, and its right to write.
 * 2. Fetch the committed offset C and the checkpoint beside it: only after the fence, else a commit of the former owner
 *    could still arrive and its rows be written twice.
 * 3. Restore: re-read from the checkpoint to C without writing. State is a function of the log; nothing else stores it.
 * 4. Run: step over batches; every commit interval one transaction of changed rows, progress, quarantine, offset.
 * 5. On any error forget producer and state, and begin anew. A commit is never repeated: whether it happened is told by
 *    the committed offset alone. A record of an unknown format halts the task once what stands before is committed.
 *
 * While a commit is under way the task steps on: what is being written was taken out before. At most one is under way.
 * When one comes (commit-pace.ts) never decides what is counted; lines and bytes bound it.
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
import { startingCheckpoint } from './starting-checkpoint.ts';
import type { TaskPorts, TaskSettings, TaskWriter } from './task-ports.ts';
import { transactionOf } from './transaction.ts';

export type TaskState = 'starting' | 'restoring' | 'running' | 'halted' | 'dropped';

/** Quarantined lines wait in memory for their commit: this much of them forces one. */
const maxQuarantineBytes = 8 << 20;
const longestRestartPauseMs = 5_000;
/** No commit is made for fewer. */
const fewestLines = 10_000;

export class PartitionTask {
  readonly partition: number;
  readonly #topic: string;
  readonly #settings: TaskSettings;
  readonly #ports: TaskPorts;
  readonly #log: Logger;
  #state: TaskState = 'starting';
  /** Why it stands, where it is halted. */
  haltedBy = '';
  #aggregator: PartitionAggregator | undefined;
  #writer: TaskWriter | undefined;
  /** Ends the restore. */
  #committedOffset = 0;
  #highWatermark = 0;
  /** The last fetch did not reach the end of the log. */
  #isBehind = false;
  /** Since the last commit it was behind. */
  #hasCaughtUp = false;
  #commit: Promise<void> | undefined;
  #lastCommitAt = 0;
  readonly #ticks: IdleTicks;
  /** Since a commit has succeeded, or since the task began. */
  restarts = 0;
  /** Lines after which a commit is made at once. */
  #mostLines: number;

  constructor(settings: TaskSettings, ports: TaskPorts, log: Logger) {
    this.partition = settings.aggregator.partition;
    this.#topic = settings.names.topic('clicks');
    this.#settings = settings;
    this.#mostLines = settings.commitMaxLines;
    this.#ports = ports;
    this.#log = log.child({ partition: this.partition });
    this.#ticks = createIdleTicks(settings.tickIntervalMs, () => ports.appendTick(), this.#log);
  }

  get state(): TaskState {
    return this.#state;
  }

  /** Offset up to which everything is written; in a restore, which may take long, up to which it has read again. */
  get reached(): number {
    return this.#state === 'restoring' ? (this.position ?? 0) : this.#committedOffset;
  }

  get position(): number | undefined {
    return this.#aggregator?.position;
  }

  /** Never rejects: errors lead to another start after a pause, contradictions to a halt. */
  async start(): Promise<void> {
    while (this.#state === 'starting') {
      try {
        await this.#begin();
        return;
      } catch (error) {
        await this.#closeWriter();
        if (this.#isDropped()) return;
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
      // Fetched before a seek or a rebalance. To step over it could skip what lies between.
      this.#log.debug({ fetched: batch.fetchedOffset, position: aggregator.position }, 'stale batch dropped');
      this.#ports.readFrom(aggregator.position);
      return;
    }
    this.#highWatermark = batch.highWatermark;
    this.#isBehind = batch.nextOffset < batch.highWatermark;
    this.#hasCaughtUp ||= this.#isBehind;
    const watermark = aggregator.watermark;
    try {
      if (!(await this.#stepOver(batch, aggregator))) return;
    } catch (error) {
      if (error instanceof UnknownFormat) return await this.#standBefore(error, batch, aggregator);
      // Nothing of what it has half done may ever be written.
      return this.#restart('stepping failed', error, aggregator);
    }
    aggregator.skipTo(batch.nextOffset);
    if (this.#state === 'restoring' && aggregator.position >= this.#committedOffset) this.#endRestore(aggregator);
    if (aggregator.watermark > watermark) this.#ticks.watermarkMoved(this.#ports.now());
    this.onTimer();
  }

  /** Whether to the end: meanwhile the task may have begun anew, or a rebalance brought the batch's rest a second time. */
  async #stepOver(batch: FetchedBatch, aggregator: PartitionAggregator): Promise<boolean> {
    for (const record of batch.records) {
      const { offset, timestamp, bytes = record.value, valueStart, valueEnd, headers } = record;
      assertKnown(clickContract, batch, record);
      if (this.#state === 'restoring' && offset >= this.#committedOffset) this.#endRestore(aggregator);
      aggregator.step(offset, timestamp, bytes, valueStart, valueEnd, acksOf(headers));
      if (this.#state === 'running' && this.#isFull(aggregator)) {
        // Settles what was stepped over, too.
        await whileBeating(batch, this.#commitNow());
        if (this.#aggregator !== aggregator || aggregator.position !== offset + 1) return false;
      }
    }
    // The batch's memory is used again (`keepsRecords`).
    aggregator.settle();
    return true;
  }

  /** Offsets `[firstOffset, nextOffset)` hold control records only. */
  onGap(firstOffset: number, nextOffset: number): void {
    const aggregator = this.#aggregator;
    if (aggregator === undefined || firstOffset !== aggregator.position) return;
    aggregator.skipTo(nextOffset);
    if (this.#state === 'restoring' && nextOffset >= this.#committedOffset) this.#endRestore(aggregator);
  }

  /** To be called every few tens of ms: commits and ticks when they are due. */
  onTimer(): void {
    const aggregator = this.#aggregator;
    if (this.#state !== 'running' || aggregator === undefined) return;
    const now = this.#ports.now();
    if (this.#commit === undefined && now - this.#lastCommitAt >= this.#commitDueAfterMs()) void this.#commitNow();
    void this.#ticks.onTimer(now, () => ({
      isAtEnd: aggregator.position >= this.#highWatermark,
      watermark: aggregator.watermark,
      openWindows: aggregator.state.windows,
    }));
  }

  /** After a rebalance that left the partition here: positions and pauses were forgotten, the state was not. */
  readOn(): void {
    if (this.#aggregator !== undefined) this.#ports.readFrom(this.#aggregator.position);
    else this.#ports.pause();
  }

  /** The partition is another's, or the process stops. With `commit`, what is counted so far is written first. */
  async drop({ commit }: { readonly commit: boolean }): Promise<void> {
    if (commit && this.#state === 'running') {
      await this.#commit;
      await this.#commitNow();
    }
    this.#state = 'dropped';
    this.#aggregator = undefined;
    metrics.forget(this.#topic, this.partition);
    await this.#closeWriter();
  }

  async #begin(): Promise<void> {
    // Throws where another may own the partition by now: to fence him would only disturb.
    this.#ports.pause();
    this.#writer = await this.#ports.openWriter();
    const [committed, range] = [await this.#ports.committed(), await this.#ports.range()];
    // Dropped while it waited: another may own the partition, and nothing here may go on reading for it.
    if (this.#isDropped()) return this.#closeWriter();
    const checkpoint = startingCheckpoint(committed, range, this.#settings.withoutCommit);
    const aggregator = new PartitionAggregator(this.#settings.aggregator, checkpoint);
    // First, as it throws while the consumer is joining its group again: nothing may then look as if it had begun.
    this.#ports.readFrom(aggregator.position);
    this.#aggregator = aggregator;
    this.#committedOffset = committed?.offset ?? checkpoint.restoreFrom;
    this.#highWatermark = range.end;
    this.#lastCommitAt = this.#ports.now();
    this.#state = 'restoring';
    this.#log.info(
      { restoreFrom: checkpoint.restoreFrom, committed: this.#committedOffset, end: range.end },
      'task started',
    );
    if (aggregator.position >= this.#committedOffset) this.#endRestore(aggregator);
  }

  #endRestore(aggregator: PartitionAggregator): void {
    aggregator.restored();
    this.#state = 'running';
    this.#ticks.begin(this.#ports.now());
    metrics.restored(this.#topic, this.partition, aggregator);
    this.#log.info(
      { position: aggregator.position, watermark: aggregator.watermark, ...aggregator.state },
      'task counts',
    );
  }

  #isFull({ pending }: PartitionAggregator): boolean {
    return pending.lines >= this.#mostLines || pending.quarantineBytes >= maxQuarantineBytes;
  }

  #commitDueAfterMs(): number {
    const lines = this.#aggregator?.pending.lines ?? 0;
    const pace = { isBehind: this.#isBehind, hasCaughtUp: this.#hasCaughtUp, lines, tasks: this.#ports.tasks() };
    return commitDueAfterMs(this.#settings, pace);
  }

  /** Never rejects: a failed commit restarts the task. */
  async #commitNow(): Promise<void> {
    while (this.#commit !== undefined) await this.#commit;
    const [aggregator, writer] = [this.#aggregator, this.#writer];
    if (aggregator === undefined || writer === undefined || this.#state !== 'running') return;
    this.#lastCommitAt = this.#ports.now();
    this.#hasCaughtUp = false;
    if (aggregator.position === this.#committedOffset) return;
    this.#commit = this.#write(aggregator, writer)
      .catch(error => {
        // What does not get through in time as a whole gets through in pieces.
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
    if (this.#aggregator !== failed || this.#isDropped()) return;
    // What fails again and again is not to be tried without a pause.
    const pauseMs = this.restarts === 0 ? 0 : Math.min(longestRestartPauseMs, 100 * 2 ** this.restarts);
    this.restarts++;
    this.#log.warn({ why: messageOf(error), pauseMs }, `${what}, task starts anew`);
    metrics.restarts.inc();
    this.#aggregator = undefined;
    this.#state = 'starting';
    void this.#closeWriter()
      .then(() => new Promise(resolve => setTimeout(resolve, pauseMs)))
      .then(() => this.start());
  }

  /** Whoever has the partition next, of a newer release, begins right there. */
  async #standBefore(error: UnknownFormat, batch: FetchedBatch, aggregator: PartitionAggregator): Promise<void> {
    await whileBeating(batch, this.#commitNow());
    // A commit that failed has begun anew, and comes here again.
    if (this.#aggregator !== aggregator || this.#isDropped()) return;
    this.#aggregator = undefined;
    this.#halt(error);
    await this.#closeWriter();
  }

  /** It is paused, or has no state that could take anything, and is paused again after each rebalance (`readOn`). */
  #halt(error: Corrupt): void {
    this.#state = 'halted';
    this.haltedBy = error.message;
    metrics.halt(this.#topic, this.partition, error);
    this.#log.error({ why: error.message }, 'task halted: it says why, and what is to be done');
    try {
      this.#ports.pause();
    } catch {} // No member of its group now: what it fetches until the next rebalance is dropped.
  }

  /** A method, so that the compiler knows `#state` may have changed while something was awaited. */
  #isDropped(): boolean {
    return this.#state === 'dropped';
  }

  async #closeWriter(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    await writer?.[Symbol.asyncDispose]();
  }
}
