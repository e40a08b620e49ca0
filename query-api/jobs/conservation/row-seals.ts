/**
 * Seals hours and quarantined lines that can no longer grow. So a comparison reads little, and still holds when the
 * rows have expired.
 *
 * An hour is sealed when it is final in every partition. Later clicks are `too_late` and change no live count. A
 * restatement adds rows, but does not change what was counted live. Quarantined lines are sealed by offsets and not by
 * days, because brokers' clocks may differ, and only up to where they are complete.
 *
 * A seal does not replace its rows while these are kept. One stretch at a time is added up again and its seal renewed.
 * So a row that is lost, or comes back, after sealing is noticed.
 */

import type { Logger } from '../../../infra/log.ts';
import type { ConservationQueries, RowSums } from '../../store/jobs/conservation-rows.ts';
import type { Seal, SealStore } from '../../store/jobs/seal-store.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { noRows, sumOf } from './conservation.ts';

export interface RowSealsDeps {
  readonly queries: ConservationQueries;
  readonly store: SealStore;
  readonly log: Logger;
  /** Ends the work between two statements. */
  readonly closing: AbortSignal;
}

export function createRowSeals({ queries, store, log, closing }: RowSealsDeps) {
  const live = createLiveSums(queries, closing);
  const { hourSeals, renewed } = createCounting(queries, live);

  return {
    ...live,

    /** Seals the hours that end before `finalUntil`. Returns the end of what is sealed, in epoch ms. */
    async sealHours(finalUntil: number, partitions: number): Promise<number> {
      const until = hourOf(finalUntil);
      let at = Math.max(0, ...[...(await store.totals()).values()].map(({ time }) => time));
      while (at < until) {
        const first = await queries.firstMinute({ from: at, to: until });
        const hour = first === undefined ? until - hourMs : hourOf(first);
        await store.save(await hourSeals(hour, partitions));
        at = hour + hourMs;
      }
      return at;
    },

    /** `lines` are all that the partition has quarantined at offsets [since, until). `oldest` is epoch ms. */
    async sealQuarantine(
      partition: number,
      since: number,
      until: number,
      lines: number,
      oldest: number,
    ): Promise<void> {
      const counts = { counted: 0, duplicates: 0, invalid: 0, quarantined: lines };
      const kept_until = Math.floor((oldest + quarantineKeptMs) / 1_000);
      await store.save([{ source: 'quarantine', partition, since, until, ...counts, kept_until }]);
    },

    /** Renews the seals that were renewed longest ago, and logs an error when their rows have changed. */
    async renewOne(): Promise<void> {
      const before = await store.stalest();
      const after = await renewed(before);
      await store.save(after);
      for (const seal of after) {
        const old = before.find(({ partition }) => partition === seal.partition);
        if (old && isSame(old, seal)) continue;
        log.error({ sealed: old, found: seal }, 'rows of a closed stretch have CHANGED since they were sealed');
      }
    },
  };
}

/** Counts the rows for seals: for new ones, and again for those that are renewed. */
function createCounting(queries: ConservationQueries, { sumsOf }: Pick<ReturnType<typeof createLiveSums>, 'sumsOf'>) {
  const hourSeals = async (hour: number, partitions: number): Promise<Seal[]> => {
    const sums = await sumsOf({ from: hour, to: hour + hourMs });
    const all = new Set([...Array(partitions).keys(), ...sums.keys()]);
    return [...all].map(partition => {
      const { counted, duplicates, invalid } = sums.get(partition) ?? noRows;
      return { ...stretchOf(hour), partition, counted, duplicates, invalid, quarantined: 0 };
    });
  };

  const renewed = async (seals: readonly Seal[]): Promise<Seal[]> => {
    const [first] = seals;
    if (first === undefined) return [];
    if (first.source === 'ad_minute')
      return await hourSeals(first.since * 1_000, 1 + Math.max(...seals.map(s => s.partition)));
    const found = await queries.quarantinedLines(seals);
    return seals.map(seal => ({ ...seal, quarantined: found.get(seal.partition)?.lines ?? 0 }));
  };

  return { hourSeals, renewed };
}

/** Adds up the live rows of ranges, by partition. */
function createLiveSums(queries: ConservationQueries, closing: AbortSignal) {
  const step = async (range: TimeRange, attempt = 1): Promise<ReadonlyMap<number, RowSums>> => {
    closing.throwIfAborted();
    const rows = await queries.liveRows(range);
    if (rows.some(({ untold }) => untold > 0) && attempt < untoldAttempts) return await step(range, attempt + 1);
    return new Map(rows.map(({ partition, untold, ...sums }) => [partition, sums]));
  };
  return {
    /** Reads a long range in several statements, so that none takes long. */
    async sumsOf({ from, to }: TimeRange): Promise<Map<number, RowSums>> {
      const steps: ReadonlyMap<number, RowSums>[] = [];
      for (let at = from; at < to; at += stepMs) steps.push(await step({ from: at, to: Math.min(to, at + stepMs) }));
      return sumOf(...steps);
    },

    /** Reads the rows that may still grow in one statement. */
    openSums: (from: number) => step({ from, to: endOfTime }),
  };
}

function isSame(a: Seal, b: Seal): boolean {
  return (['counted', 'duplicates', 'invalid', 'quarantined'] as const).every(of => a[of] === b[of]);
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** One day less than ClickHouse keeps the rows (TTL of the tables). */
const countsKeptMs = 399 * dayMs;
const quarantineKeptMs = 34 * dayMs;
/** At the peak of 50,000 clicks/s, this long a range has about ten million rows. */
const stepMs = 10 * 60_000;
/** `untold` rows were restated while this was read. So it is read again, at most this many times. */
const untoldAttempts = 5;
/** The last minute that a DateTime can hold. */
const endOfTime = 4_294_967_280_000;

function hourOf(time: number): number {
  return time - (time % hourMs);
}

function stretchOf(hour: number) {
  const source = 'ad_minute' as const;
  return { source, since: hour / 1_000, until: (hour + hourMs) / 1_000, kept_until: (hour + countsKeptMs) / 1_000 };
}
