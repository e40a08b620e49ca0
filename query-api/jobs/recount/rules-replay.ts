/**
 * A replay that judges clicks by named rules: what it is asked to do, and what it has found so far. Both are kept as JSON
 * in the row of its job, which is saved together with the changes, so that a job that is interrupted sums each change up
 * once.
 *
 * Its job has the reason `rules`. A job runner of a release that does not know rules leaves such a job alone.
 */
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { CellChange } from '../../../aggregator/restatement.ts';
import { Corrupt, Retryable } from '../../../infra/errors.ts';
import { type RulesVersion, ValidityRulesSchema, versionAt } from '../../../ingest/validity/rule-set.ts';
import {
  type InvalidReason,
  invalidReasons,
  noRules,
  type RuleSet,
  type ValidityRules,
} from '../../../ingest/validity/rules.ts';
import type { Job } from '../../store/jobs/job.ts';
import { stepsMs } from '../../time/time-range.ts';
import type { RecountRules } from './recount-rules.ts';

export interface RulesReplay {
  /** The number of a version, 0 for no rules, or rules that were not announced. */
  readonly by: number | ValidityRules;
  /** A decimal number, as it was asked for. */
  readonly pricePerClick: string | null;
  readonly found: RulesEffect;
}

/** Sums over the cells whose numbers differ. */
export interface RulesEffect {
  readonly cells: number;
  readonly before: JudgedClicks;
  readonly after: JudgedClicks;
  readonly byReason: readonly { readonly reason: InvalidReason; readonly before: number; readonly after: number }[];
  /** In the order of time. */
  readonly byDay: readonly { readonly day: number; readonly before: JudgedClicks; readonly after: JudgedClicks }[];
}

export interface JudgedClicks {
  readonly clicks: number;
  readonly invalid: number;
}

/** The version of rules that were not announced. No row of counts ever has it: they are only tried out. */
export const draftVersion = 2 ** 32 - 1;

/** Of a replay by rules, at most this many cells that differ are listed. The sums have all of them. */
export const mostListedCells = 200_000;

export function newRulesReplay(by: RulesReplay['by'], pricePerClick: string | null): RulesReplay {
  const none = { clicks: 0, invalid: 0 };
  return { by, pricePerClick, found: { cells: 0, before: none, after: none, byReason: [], byDay: [] } };
}

/** Returns undefined for a job that judges by the rules of its minutes. @throws Corrupt */
export function rulesReplayOf({ reason, result, id }: Pick<Job, 'reason' | 'result' | 'id'>): RulesReplay | undefined {
  if (reason !== 'rules') return undefined;
  const json: unknown = JSON.parse(result);
  if (Value.Check(Saved, json)) return json;
  throw new Corrupt(`job ${id}: its result does not say by which rules it judges`);
}

/** Returns by which rules the minutes of a job are judged. `versions` are all that were announced. @throws Retryable */
export function recountRulesOf(job: Job, versions: readonly RulesVersion[]): RecountRules {
  const setOf = (version: number) => versions.find(known => known.version === version);
  const rules: RecountRules = { rulesAt: minute => versionAt(versions, minute), setOf };
  const replay = rulesReplayOf(job);
  if (replay === undefined) return rules;
  const { by } = replay;
  if (typeof by !== 'number') {
    if (job.apply) throw new Corrupt(`job ${job.id}: rules that were not announced cannot be applied`);
    return { ...rules, instead: { version: draftVersion, rules: by } };
  }
  const instead: RuleSet | undefined = by === 0 ? noRules : setOf(by);
  if (instead === undefined) throw new Retryable(`version ${by} of the rules is not known here yet`);
  return { ...rules, instead };
}

/** Whether its numbers differ, and not only the version of the rules by which they were found. */
export function changesNumbers(change: CellChange): boolean {
  const { before, after, before_invalid, after_invalid, before_invalid_by, after_invalid_by } = change;
  return (
    before !== after ||
    before_invalid !== after_invalid ||
    invalidReasons.some(reason => (before_invalid_by[reason] ?? 0) !== (after_invalid_by[reason] ?? 0))
  );
}

/** Returns the job with these changes summed up. Of changes whose numbers are the same, nothing is. */
export function withEffect(job: Job, changes: readonly CellChange[]): Job {
  const replay = rulesReplayOf(job);
  if (replay === undefined) return job;
  const found = changes.filter(changesNumbers).reduce(plus, replay.found);
  return { ...job, result: JSON.stringify({ ...replay, found } satisfies RulesReplay) };
}

function plus(effect: RulesEffect, change: CellChange): RulesEffect {
  const [before, after] = judgedOf(change);
  return {
    cells: effect.cells + 1,
    before: sum(effect.before, before),
    after: sum(effect.after, after),
    byReason: reasonsPlus(effect.byReason, change),
    byDay: daysPlus(effect.byDay, change.minute * 1_000, before, after),
  };
}

function judgedOf(change: CellChange): readonly [before: JudgedClicks, after: JudgedClicks] {
  return [
    { clicks: change.before, invalid: change.before_invalid },
    { clicks: change.after, invalid: change.after_invalid },
  ];
}

function sum(a: JudgedClicks, b: JudgedClicks): JudgedClicks {
  return { clicks: a.clicks + b.clicks, invalid: a.invalid + b.invalid };
}

function reasonsPlus(
  known: RulesEffect['byReason'],
  { before_invalid_by, after_invalid_by }: CellChange,
): RulesEffect['byReason'] {
  return invalidReasons.flatMap(reason => {
    const { before = 0, after = 0 } = known.find(each => each.reason === reason) ?? {};
    const sums = {
      before: before + (before_invalid_by[reason] ?? 0),
      after: after + (after_invalid_by[reason] ?? 0),
    };
    return sums.before === 0 && sums.after === 0 ? [] : [{ reason, ...sums }];
  });
}

/** Changes come in the order of time. */
function daysPlus(
  known: RulesEffect['byDay'],
  at: number,
  before: JudgedClicks,
  after: JudgedClicks,
): RulesEffect['byDay'] {
  const day = at - (at % stepsMs.day);
  const same = known.find(each => each.day === day);
  if (same === undefined) return [...known, { day, before, after }];
  const added = { day, before: sum(same.before, before), after: sum(same.after, after) };
  return known.map(each => (each === same ? added : each));
}

const Count = Type.Integer({ minimum: 0 });
const Judged = Type.Object({ clicks: Count, invalid: Count });
const Saved = Type.Object({
  by: Type.Union([Count, ValidityRulesSchema]),
  pricePerClick: Type.Union([Type.String(), Type.Null()]),
  found: Type.Object({
    ...{ cells: Count, before: Judged, after: Judged },
    byReason: Type.Array(
      Type.Object({ reason: Type.Enum([...invalidReasons], { type: 'string' }), before: Count, after: Count }),
    ),
    byDay: Type.Array(Type.Object({ day: Count, before: Judged, after: Judged })),
  }),
});
