/**
 * Compares the rows in ClickHouse once with the aggregator's counters, by the rules in conservation.ts.
 *
 * Sealed hours are taken from their seals, and other final minutes are read once. Only the minutes that still grow are
 * read together with progress. That takes only a moment, so sometimes nothing arrives in between, and the comparison is
 * exact. It is repeated a few times to get such an exact result.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import { inTime } from '../../../infra/in-time.ts';
import type { Logger } from '../../../infra/log.ts';
import type { CountedLog } from '../../log/counted-log.ts';
import { finalityOf, partitionsOf } from '../../store/finality.ts';
import type { ConservationQueries, RowSums } from '../../store/jobs/conservation-rows.ts';
import type { Sealed, SealStore } from '../../store/jobs/seal-store.ts';
import {
  countEntries,
  type Entry,
  isExact,
  keyOf,
  type Outcome,
  quarantineEntry,
  receivedEntries,
  Suspicions,
  sumOf,
} from './conservation.ts';
import { QuarantineReferences } from './quarantine-reference.ts';
import { createRowSeals } from './row-seals.ts';

/** The established result for one outcome in one partition. */
export interface Finding {
  readonly partition: number;
  readonly outcome: Outcome;
  readonly expected: number;
  readonly found: number;
  /** Found minus expected. 0 means that they agree. */
  readonly difference: number;
}

export interface ConservationCheckDeps {
  readonly queries: ConservationQueries;
  readonly store: SealStore;
  readonly progress: () => Promise<readonly Progress[]>;
  readonly countedLog: Pick<CountedLog, 'sinkPositions'>;
  readonly now: () => number;
  readonly log: Logger;
  readonly closing: AbortSignal;
  readonly pauseMs?: number;
}

export interface Checked {
  readonly findings: readonly Finding[];
  /** False when nothing could be established for some partition this time. */
  readonly isComplete: boolean;
}

export type ConservationCheck = () => Promise<Checked>;

/** Creates a check that is run again and again. One run may confirm what an earlier one has suspected. */
export function createConservationCheck(deps: ConservationCheckDeps): ConservationCheck {
  const { queries, store, countedLog, now, closing, pauseMs = 300 } = deps;
  const seals = createRowSeals(deps);
  const references = new QuarantineReferences();
  const suspicions = new Suspicions();

  const progressNow = async () => new Map((await deps.progress()).map(row => [row.partition, row]));

  const readQuarantine = async (sealed: ReadonlyMap<number, Sealed>): Promise<Entry[]> => {
    const progress = await progressNow();
    const sinks = references.areAwaited ? await inTime(countedLog.sinkPositions()).catch(() => undefined) : undefined;
    const wanted = [...references.next(progress.values(), sinks)].map(([partition, reference]) => {
      return { partition, since: sealed.get(partition)?.offset ?? 0, until: reference.position, reference };
    });
    const found = await queries.quarantinedLines(wanted);
    const entries: Entry[] = [];
    for (const { partition, since, until, reference } of wanted) {
      const { lines, oldest } = found.get(partition) ?? { lines: 0, oldest: 0 };
      const entry = quarantineEntry(partition, lines + (sealed.get(partition)?.quarantined ?? 0), reference);
      entries.push(entry);
      if (!isExact(entry)) continue;
      references.settle(partition);
      if (lines > 0 && oldest < now() - sealAfterMs) await seals.sealQuarantine(partition, since, until, lines, oldest);
    }
    return entries;
  };

  const readCounts = async (closed: ReadonlyMap<number, RowSums>, openFrom: number): Promise<Entry[]> => {
    const before = await progressNow();
    const rows = sumOf(closed, await seals.openSums(openFrom));
    return [...receivedEntries(before.values()), ...countEntries(rows, before, await progressNow())];
  };

  return async () => {
    const progress = await deps.progress();
    const finalUntil = finalityOf(progress).finalUntil ?? 0;
    const sealedUntil = await seals.sealHours(finalUntil, partitionsOf(progress));
    await seals.renewOne();
    const openFrom = Math.max(sealedUntil, finalUntil);
    const closed = sumOf(rowsOf(await store.totals()), await seals.sumsOf({ from: sealedUntil, to: openFrom }));
    const findings = new Map<string, Finding>();
    const unknown = new Set<string>();
    for (let reading = 1; ; reading++) {
      closing.throwIfAborted();
      const entries = [...(await readQuarantine(await store.totals())), ...(await readCounts(closed, openFrom))];
      unknown.clear();
      for (const entry of entries) {
        const difference = suspicions.judge(entry);
        if (difference === undefined) unknown.add(keyOf(entry));
        else findings.set(keyOf(entry), findingOf(entry, difference));
      }
      if (entries.every(isExact) || reading >= readings) break;
      await sleep(pauseMs, undefined, { signal: closing });
    }
    return { findings: [...findings.values()], isComplete: [...unknown].every(key => findings.has(key)) };
  };
}

const readings = 5;
/** A partition with quarantined lines gets at most one seal an hour. */
const sealAfterMs = 3_600_000;

function rowsOf(sealed: ReadonlyMap<number, Sealed>): Map<number, RowSums> {
  return new Map(
    [...sealed].map(([partition, { counted, duplicates, invalid }]) => [
      partition,
      { counted, duplicates, invalid, version: 0 },
    ]),
  );
}

function findingOf({ partition, outcome, found }: Entry, difference: number): Finding {
  return { partition, outcome, expected: found - difference, found, difference };
}
