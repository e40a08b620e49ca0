/**
 * Keeps the roll-up complete: the top lists and hours of the last hours as soon as they are final, and those of all the
 * time that restatements can reach, one stretch after another. What is due is found from the rows alone, so a restart
 * needs no stored state.
 *
 * No block delays another. A block is passed over when it cannot be worked out (a read takes too long), or when it
 * waits for a restatement that was announced but is not made. A stretch whose minutes are restated again and again gets
 * a limited number of turns.
 *
 * A block becomes due when a minute becomes final, or when a restatement is made, which is reported by `wake`. So after
 * a turn that has found nothing, the next turns only ask how far the counts are, until one of the two has happened. In
 * case this goes unnoticed, everything is checked once a minute, and older stretches every ten minutes.
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
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { blocksDue, blocksRolledUp } from './metrics.ts';

/**
 * The longest pause, in units of `pauseMs`. A minute becomes final only once a minute, so a loop without work looks
 * less often.
 */
const mostPauses = 5;

export interface RollUpLoopDeps {
  readonly clickhouse: ClickHouse;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
  readonly log: Logger;
  readonly pauseMs?: number;
  readonly listed?: AdsListed;
  /** The shard of the node `clickhouse`. The default is that there is only one shard. */
  readonly shard?: InShards;
}

export interface RollUpLoop extends AsyncDisposable {
  start(): void;
  /** Minutes were restated, or a restatement will soon become visible. */
  wake(): void;
  /** Works out what is due in the last hours, and in a part of one older stretch. Returns the number of blocks. */
  turn(): Promise<number>;
}

export function createRollUpLoop(deps: RollUpLoopDeps): RollUpLoop {
  const { log, pauseMs = 1_000 } = deps;
  const closing = new AbortController();
  const wakeUp = createWakeUp();
  const turns = createTurns(deps, closing.signal);
  let running = Promise.resolve();
  let idleTurns = 0;

  const loop = async () => {
    while (!closing.signal.aborted) {
      let done = 0;
      try {
        done = await turns.turn();
      } catch (error) {
        if (!closing.signal.aborted) log.warn({ why: messageOf(error) }, 'top lists and hours are not worked out');
      }
      idleTurns = done === 0 ? idleTurns + 1 : 0;
      const restMs = Math.min(idleTurns, mostPauses) * pauseMs;
      if (done === 0 && (await wakeUp.pause(restMs, closing.signal))) idleTurns = 0;
    }
  };

  return {
    turn: turns.turn,
    start() {
      running = loop();
    },
    wake() {
      turns.wake();
      wakeUp.call();
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}

/** Decides what is looked at in each turn: always the last hours, and from time to time all older stretches. */
function createTurns(
  { clickhouse, clock = () => performance.now(), log, listed, shard = oneShard }: RollUpLoopDeps,
  closing: AbortSignal,
) {
  const directory = createBlockDirectory(clickhouse, { timeoutMs });
  const rollUp = createRollUp({
    ...{ clickhouse, directory, shard, ...(listed && { listed }) },
    onRolledUp: ({ window }) => blocksRolledUp.inc({ window }),
  });
  const { progress } = createQueries(clickhouse, { timeoutMs });
  const quiet = createQuiet(clock);
  const workOff = createWorkOff(rollUp, log, closing);
  const dueOf = async (range: TimeRange): Promise<Due[]> => {
    const { rows, restated } = await directory.read({ from: range.from - lookBackMs, to: range.to });
    return dueBlocks(rows, restated, range);
  };
  const sweep = createSweep(dueOf, workOff);
  let sweepAt = 0;

  return {
    async turn(): Promise<number> {
      const { finalUntil: final } = finalityOf(await progress(), partition => holds(shard, partition));
      const finalUntil = floorTo(final ?? 0, minuteMs);
      const isSwept = clock() < sweepAt;
      if (isSwept && quiet.isStill(finalUntil)) return 0;
      const first = await firstMinute(clickhouse, finalUntil - reachMs);
      if (first === undefined || first >= finalUntil) {
        quiet.found(finalUntil);
        sweepAt = clock() + sweepPauseMs;
        return 0;
      }
      const recent = Math.max(first, finalUntil - recentMs);
      const due = await dueOf({ from: recent, to: finalUntil });
      if (due.length === 0) quiet.found(finalUntil);
      const done = await workOff(due);
      if (isSwept) return done;
      // Older stretches get their turn also while there is always something to do in the last hours.
      const swept = await sweep(first, recent);
      // While the store is being filled, or minutes are restated, the sweep begins again soon.
      if (swept.isWhole) sweepAt = clock() + (swept.total > 0 || quiet.isWoken() ? sweepPauseMs : longSweepPauseMs);
      return done + swept.done;
    },
    wake(): void {
      quiet.wake();
      sweepAt = Math.min(sweepAt, clock() + sweepPauseMs);
    },
  };
}

type WorkOff = (due: readonly Due[]) => Promise<number>;

/** Returns what works out blocks, a few at a time. When that fails, it tries each of them alone. */
function createWorkOff(rollUp: ReturnType<typeof createRollUp>, log: Logger, closing: AbortSignal): WorkOff {
  return async due => {
    let [done, failures] = [0, 0];
    const tried = async (blocks: readonly Due[]): Promise<boolean> => {
      try {
        done += await rollUp(blocks);
        failures = 0;
        return true;
      } catch (error) {
        if (closing.aborted || ++failures >= mostFailures) throw error;
        log.warn({ why: messageOf(error), blocks: blocks.length, ends: blocks[0]?.ends }, 'blocks are not worked out');
        return false;
      }
    };
    blocksDue.set(due.length);
    for (let i = 0; i < due.length && !closing.aborted; i += blocksAtOnce) {
      const blocks = due.slice(i, i + blocksAtOnce);
      if (await tried(blocks)) continue;
      for (const block of blocks) if (!closing.aborted) await tried([block]);
    }
    return done;
  };
}

/**
 * Returns what works out older blocks: a part of one stretch in each turn, backwards from `recent` to the first minute.
 * `isWhole` is true in the turn that ends at the first minute. `total` then says how many blocks the last turns of all
 * stretches have worked out.
 */
function createSweep(dueOf: (range: TimeRange) => Promise<readonly Due[]>, workOff: WorkOff) {
  let stretch = newStretch(Number.POSITIVE_INFINITY);
  let total = 0;
  return async (first: number, recent: number) => {
    const to = Math.min(recent, stretch.until);
    const from = Math.max(first, to - stretchMs);
    const due = from < to ? await dueOf({ from, to }) : [];
    const part = due.slice(stretch.passedOver, stretch.passedOver + blocksPerTurn);
    stretch.turns++;
    stretch.passedOver += part.length;
    const done = await workOff(part);
    stretch.passedOver -= done;
    if (stretch.passedOver + done < due.length && stretch.turns < turnsPerStretch)
      return { done, isWhole: false, total };
    const isWhole = from <= first;
    stretch = newStretch(isWhole ? Number.POSITIVE_INFINITY : from);
    const swept = { done, isWhole, total: total + done };
    total = isWhole ? 0 : swept.total;
    return swept;
  };
}

const timeoutMs = 60_000;
/** The last hours, which every turn looks at. */
const recentMs = 2 * hourMs;
const stretchMs = 24 * hourMs;
/** Raw clicks are kept for 35 days, so restatements reach back as far. */
const reachMs = 35 * 24 * hourMs;
const sweepPauseMs = 60_000;
const longSweepPauseMs = 600_000;
/**
 * In case a restatement was not reported. A restatement may also take this long to become visible on a node that lags.
 */
const looksAgainMs = 60_000;
/** Enough for all blocks of a stretch that has none yet. */
const turnsPerStretch = 100;
/** After this many failures in a row the store is probably away. Then the turn ends. */
const mostFailures = 10;
/** The number of blocks between two checks whether the process is to end. */
const blocksAtOnce = 20;
/** The most blocks of a stretch in one turn, so that minutes that have just become final never wait long. */
const blocksPerTurn = 60;

/** Remembers that nothing of the last hours was due, for as long as nothing can have become due since then. */
function createQuiet(clock: () => number) {
  let known: { readonly finalUntil: number; readonly until: number } | undefined;
  let wokenUntil = 0;
  const isWoken = () => clock() < wokenUntil;
  return {
    isWoken,
    isStill: (finalUntil: number) => !isWoken() && known?.finalUntil === finalUntil && clock() < known.until,
    found(finalUntil: number): void {
      known = { finalUntil, until: clock() + looksAgainMs };
    },
    wake(): void {
      wokenUntil = clock() + looksAgainMs;
    },
  };
}

/**
 * The blocks that end at `until` or before. `passedOver` counts the blocks at its beginning that could not be worked
 * out.
 */
function newStretch(until: number) {
  return { until, passedOver: 0, turns: 0 };
}

function floorTo(ms: number, stepMs: number): number {
  return ms - (ms % stepMs);
}
