/** What a reconciliation has found so far. It is stored as JSON in `Job.result`, and grows with each step. */
import { type Static, Type } from 'typebox';
import { shown } from '../../../infra/broken-rule.ts';
import { checkedRows } from '../../../infra/clickhouse/checked-rows.ts';
import { Corrupt } from '../../../infra/errors.ts';
import type { Job } from '../../store/jobs/job.ts';
import { differencesReported, type InvalidCompared } from '../../store/jobs/sql-invalid.ts';
import { adsReported, type Reconciled } from '../../store/jobs/sql-recount.ts';

const sums = { cells: Type.Integer(), counted: Type.Integer(), raw: Type.Integer() };

const ReconcileResult = Type.Object({
  cells: Type.Integer(),
  differing: Type.Integer(),
  /** The sum of the differences of counts, each without its sign. Left out by the release before. */
  off: Type.Optional(Type.Integer()),
  conflicts: Type.Integer(),
  ads: Type.Array(Type.Object({ ad_id: Type.String(), ...sums })),
  /** Epoch ms. Those in which counts differ, or which of them are invalid. */
  minutes: Type.Array(Type.Integer()),
  /** The number of minutes that were not compared because they were about to be restated. */
  leftOut: Type.Optional(Type.Integer()),
  /** Left out by the release before. */
  invalid: Type.Optional(
    Type.Object({
      cells: Type.Integer(),
      differing: Type.Integer(),
      split: Type.Integer(),
      unsure: Type.Integer(),
      reasons: Type.Array(Type.Object({ reason: Type.String(), ...sums, off: Type.Integer() })),
      ads: Type.Array(Type.Object({ ad_id: Type.String(), reason: Type.String(), ...sums })),
    }),
  ),
});
export type ReconcileResult = Static<typeof ReconcileResult>;

export const nothingCompared = {
  ...{ cells: 0, differing: 0, conflicts: 0, ads: [], minutes: [] },
  invalid: { cells: 0, differing: 0, split: 0, unsure: 0, reasons: [], ads: [] },
} satisfies ReconcileResult;

/** @throws Corrupt when the stored result is not what a reconciliation writes */
export function resultOf({ id, result }: Pick<Job, 'id' | 'result'>): ReconcileResult {
  if (result === '') return nothingCompared;
  const [checked = nothingCompared] = checkedRows(ReconcileResult, [parsed(id, result)], `result of job ${id}`);
  return checked;
}

function parsed(id: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Corrupt(`result of job ${id} is ${shown(text)}, but must be JSON`, { cause });
  }
}

/** Adds what was found about counts. */
export function withCounts(before: ReconcileResult, found: Reconciled): ReconcileResult {
  return {
    ...before,
    cells: before.cells + found.cells,
    differing: before.differing + found.differing,
    off: (before.off ?? 0) + found.off,
    conflicts: before.conflicts + found.conflicts,
    ads: largest(
      summed([...before.ads, ...found.ads], ad => ad.ad_id),
      adsReported,
    ),
    minutes: [...before.minutes, ...found.minutes],
  };
}

/** Adds what was found about invalid clicks. */
export function withInvalid(before: ReconcileResult, found: InvalidCompared): ReconcileResult {
  const { invalid = nothingCompared.invalid, minutes } = before;
  const off = new Map<string, number>();
  for (const each of [...invalid.reasons, ...found.reasons])
    off.set(each.reason, (off.get(each.reason) ?? 0) + each.off);
  const reasons = summed([...invalid.reasons, ...found.reasons], each => each.reason);
  const ads = summed([...invalid.ads, ...found.ads], each => JSON.stringify([each.ad_id, each.reason]));
  return {
    ...before,
    minutes: [...new Set([...minutes, ...found.minutes])].sort((a, b) => a - b),
    invalid: {
      cells: invalid.cells + found.cells,
      differing: invalid.differing + found.differing,
      split: invalid.split + found.split,
      unsure: invalid.unsure + found.unsure,
      reasons: reasons.map(each => ({ ...each, off: off.get(each.reason) ?? 0 })),
      ads: largest(ads, differencesReported),
    },
  };
}

interface Sums {
  readonly cells: number;
  readonly counted: number;
  readonly raw: number;
}

function summed<T extends Sums>(all: readonly T[], keyOf: (one: T) => string): T[] {
  const found = new Map<string, T>();
  for (const one of all) {
    const { cells, counted, raw } = found.get(keyOf(one)) ?? { cells: 0, counted: 0, raw: 0 };
    found.set(keyOf(one), { ...one, cells: cells + one.cells, counted: counted + one.counted, raw: raw + one.raw });
  }
  return [...found.values()];
}

function largest<T extends Sums>(all: readonly T[], most: number): T[] {
  const size = ({ raw, counted }: Sums) => Math.abs(raw - counted);
  return all.toSorted((a, b) => size(b) - size(a)).slice(0, most);
}
