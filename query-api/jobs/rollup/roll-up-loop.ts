/**
 * Keeps the roll-up complete: top lists and hours of the last hours as soon as they are final, and, stretch by stretch,
 * of all the time that restatements can reach. What is due is found from the rows alone, so a restart needs nothing.
 *
 * No block holds up another: one that cannot be worked out (a read that takes too long), or waits for a restatement that
 * is told and not made, is passed over; a stretch whose minutes are restated again and again has a bounded number of turns.
 *
 * What becomes due does so with a minute that becomes final, or with a restatement, of which who makes it tells (`wake`).
 * So where a turn has found nothing, the next ones only ask how far the counts are, until one of the two has happened;
 * and, in case that went unnoticed, everything is looked at once a minute, and older stretches every ten minutes.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { type InShards, oneShard } from '../../../infra/clickhouse/topology.ts';
import { messageOf } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { createWakeUp } from '../../../infra/wake-up.ts';
import { holds } from '../../replicas/shard.ts';
import { createQueries } from '../../store/ad-counts.ts';
import { finalityOf } from '../../store/finality.ts';
import { createBlockDirectory } from '../../store/rollup/block-directory.ts';
import { hourMs } from '../../store/rollup/blocks.ts';
import { type Due, dueBlocks, lookBackMs } from '../../store/rollup/due-blocks.ts';
import { type AdsListed, createRollUp, firstMinute } from '../../store/rollup/roll-up.ts';
import { createTopQueries } from '../../store/rollup/top-lists.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { blocksDue, blocksRolledUp } from './metrics.ts';

/** A minute becomes final once a minute; who found nothing for some turns looks less often. */
const mostPauses = 5;

export interface RollUpLoopDeps {
  readonly clickhouse: ClickHouse;
  /** Epoch ms. */
  readonly now: () => number;
  readonly log: Logger;
  readonly pauseMs?: number;
  readonly listed?: AdsListed;
  /** Whose clicks `clickhouse` has; left out: there is one shard. */
  readonly shard?: InShards;
}

export interface RollUpLoop extends AsyncDisposable {
  start(): void;
  /** Minutes have been restated, or will show to have been. */
  wake(): void;
  /** Works out what is due of one stretch; how many blocks were. */
  turn(): Promise<number>;
}

export function createRollUpLoop({
  clickhouse,
  now,
  log,
  pauseMs = 1_000,
  listed,
  shard = oneShard,
}: RollUpLoopDeps): RollUpLoop {
  const closing = new AbortController();
  const directory = createBlockDirectory(clickhouse, { timeoutMs });
  const tops = createTopQueries(clickhouse, directory, { timeoutMs, maxThreads: 1 });
  const rollUp = createRollUp({
    ...{ clickhouse, tops, shard, ...(listed && { listed }) },
    onRolledUp: ({ window }) => blocksRolledUp.inc({ window }),
  });
  const { progress } = createQueries(clickhouse, { timeoutMs });
  let stretch = newStretch(Number.POSITIVE_INFINITY);
  let sweepAt = 0;
  let sweptMany = 0;
  let running = Promise.resolve();
  let idleTurns = 0;
  const wakeUp = createWakeUp();
  const quiet = createQuiet(now);

  const dueOf = async (range: TimeRange): Promise<Due[]> => {
    const { rows, restated } = await directory.read({ from: range.from - lookBackMs, to: range.to });
    return dueBlocks(rows, restated, range);
  };

  /** Those of a part that fails are tried one by one. */
  const workOff = async (due: readonly Due[]): Promise<number> => {
    let [done, failures] = [0, 0];
    const tried = async (blocks: readonly Due[]): Promise<boolean> => {
      try {
        done += await rollUp(blocks);
        failures = 0;
        return true;
      } catch (error) {
        if (closing.signal.aborted || ++failures >= mostFailures) throw error;
        log.warn({ why: messageOf(error), blocks: blocks.length, ends: blocks[0]?.ends }, 'blocks are not worked out');
        return false;
      }
    };
    blocksDue.set(due.length);
    for (let i = 0; i < due.length && !closing.signal.aborted; i += blocksAtOnce) {
      const blocks = due.slice(i, i + blocksAtOnce);
      if (await tried(blocks)) continue;
      for (const block of blocks) if (!closing.signal.aborted) await tried([block]);
    }
    return done;
  };

  const turn = async (): Promise<number> => {
    const finalUntil = floorTo(
      finalityOf(await progress(), partition => holds(shard, partition)).finalUntil ?? 0,
      minuteMs,
    );
    const isSwept = now() < sweepAt;
    if (isSwept && quiet.isStill(finalUntil)) return 0;
    const first = await firstMinute(clickhouse, finalUntil - reachMs);
    if (first === undefined || first >= finalUntil) {
      quiet.found(finalUntil);
      sweepAt = now() + sweepPauseMs;
      return 0;
    }
    const recent = Math.max(first, finalUntil - recentMs);
    const due = await dueOf({ from: recent, to: finalUntil });
    if (due.length === 0) quiet.found(finalUntil);
    const done = await workOff(due);
    // Also while there is always something of the last hours to do.
    return done + (isSwept ? 0 : await sweep(first, recent));
  };

  /** Back from `recent`, part of a stretch a turn; after the first minute it begins again. */
  const sweep = async (first: number, recent: number): Promise<number> => {
    const to = Math.min(recent, stretch.until);
    const from = Math.max(first, to - stretchMs);
    const due = from < to ? await dueOf({ from, to }) : [];
    const part = due.slice(stretch.passedOver, stretch.passedOver + blocksPerTurn);
    stretch.turns++;
    stretch.passedOver += part.length;
    const done = await workOff(part);
    stretch.passedOver -= done;
    if (stretch.passedOver + done < due.length && stretch.turns < turnsPerStretch) return done;
    stretch = newStretch(from > first ? from : Number.POSITIVE_INFINITY);
    sweptMany += done;
    if (from <= first) {
      // What is being filled, or restated, is gone through again soon.
      sweepAt = now() + (sweptMany > 0 || quiet.isWoken() ? sweepPauseMs : longSweepPauseMs);
      sweptMany = 0;
    }
    return done;
  };

  const loop = async () => {
    while (!closing.signal.aborted) {
      let done = 0;
      try {
        done = await turn();
      } catch (error) {
        if (!closing.signal.aborted) log.warn({ why: messageOf(error) }, 'top lists and hours are not worked out');
      }
      idleTurns = done === 0 ? idleTurns + 1 : 0;
      const restMs = Math.min(idleTurns, mostPauses) * pauseMs;
      if (done === 0 && (await wakeUp.pause(restMs, closing.signal))) idleTurns = 0;
    }
  };

  return {
    turn,
    start() {
      running = loop();
    },
    wake() {
      quiet.wake();
      sweepAt = Math.min(sweepAt, now() + sweepPauseMs);
      wakeUp.call();
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}

const timeoutMs = 60_000;
/** Looked at in every turn. */
const recentMs = 2 * hourMs;
const stretchMs = 24 * hourMs;
/** Raw clicks, and so restatements, go back 35 days. */
const reachMs = 35 * 24 * hourMs;
const sweepPauseMs = 60_000;
const longSweepPauseMs = 600_000;
/** In case nobody has told of a restatement; and how long one may take to show, on a node that is behind. */
const looksAgainMs = 60_000;
/** Enough for all blocks of a stretch that has none yet. */
const turnsPerStretch = 100;
/** In a row: then the store is away, and all wait. */
const mostFailures = 10;
/** Between two looks at whether the process is to end. */
const blocksAtOnce = 20;
/** So that what is just final never waits for long. */
const blocksPerTurn = 60;

/** Whether nothing of the last hours can have become due since nothing was. */
function createQuiet(now: () => number) {
  let known: { readonly finalUntil: number; readonly until: number } | undefined;
  let wokenUntil = 0;
  const isWoken = () => now() < wokenUntil;
  return {
    isWoken,
    isStill: (finalUntil: number) => !isWoken() && known?.finalUntil === finalUntil && now() < known.until,
    found(finalUntil: number): void {
      known = { finalUntil, until: now() + looksAgainMs };
    },
    wake(): void {
      wokenUntil = now() + looksAgainMs;
    },
  };
}

/** What ends at `until` or before: of what is due there the first are passed over, as they could not be worked out. */
function newStretch(until: number) {
  return { until, passedOver: 0, turns: 0 };
}

function floorTo(ms: number, stepMs: number): number {
  return ms - (ms % stepMs);
}
