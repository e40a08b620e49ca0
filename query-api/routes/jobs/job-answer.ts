/** What the routes of jobs share: the parameters, the checks of a range, and how a job is shown. */

import { type Static, Type } from 'typebox';
import { brokenRule } from '../../../infra/broken-rule.ts';
import { Problem, ProblemSchema } from '../../../infra/http.ts';
import { invalid } from '../../../infra/problem.ts';
import { type RangeRules, rangeOf } from '../../http/asked-range.ts';
import { cursorsOf, pageOf, pageParameters } from '../../http/cursor.ts';
import { countField, isoOf, problems, rangeFields, timeField } from '../../http/parameters.ts';
import type { Finality } from '../../store/finality.ts';
import { type Job, type JobKind, jobIdPattern } from '../../store/jobs/job.ts';
import { type JobStore, rankOf } from '../../store/jobs/job-store.ts';
import { rawSince, recountableDays } from '../../store/raw-retention.ts';
import type { TimeRange } from '../../time/time-range.ts';

const moment = (description: string) =>
  Type.Union([Type.String(), Type.Integer({ minimum: 0 })], { description, examples: ['2025-11-22T08:26:00Z'] });

export const JobBody = Type.Object({
  from: moment('Start of the range, inclusive: a whole minute, as RFC 3339 with a zone or as epoch milliseconds.'),
  to: moment('End of the range, exclusive, in the form of `from`. The whole range must be final.'),
});

export const JobIdParams = Type.Object({
  id: Type.String({ pattern: jobIdPattern.source, description: 'The id of the job, a ULID.' }),
});

/** Jobs recount and compare the minutes of all ads. */
export const readingJobs = {
  scope: 'read',
  tenants: { refused: 'a job is about the ads of all tenants' },
} as const;

export const jobProblems = { ...problems, 404: ProblemSchema, 409: ProblemSchema };
/** The problems of a request that starts a job. */
export const startProblems = { ...problems, 409: ProblemSchema, 429: ProblemSchema };

export const jobListParameters = Type.Object(
  {
    ...pageParameters('jobs', { default: 100, maximum: 1_000 }),
  },
  { additionalProperties: false },
);

/** The part of a list's description about its order. */
export const jobListOrder =
  'Running jobs come first, then queued jobs, then jobs that have ended. In each group the newest comes first. `next_cursor` leads to the next page. A job whose state changes between two pages moves in the list, so it may occur twice.';

/** Returns a function that reads pages of the list of jobs of these kinds. */
export function jobPages(list: string, kinds: readonly JobKind[]) {
  const cursors = cursorsOf(
    list,
    Type.Tuple([Type.Integer({ minimum: 0, maximum: 2 }), Type.String({ pattern: jobIdPattern.source })]),
  );
  return async (jobs: Pick<JobStore, 'list'>, asked: Static<typeof jobListParameters>) => {
    const { limit = 100, cursor } = asked;
    const [rank, id] = cursors.read(cursor, {}, undefined) ?? [];
    const after = rank === undefined || id === undefined ? undefined : { rank, id };
    const found = await jobs.list(kinds, after, limit + 1);
    return pageOf(found, limit, last => cursors.write([rankOf(last), last.id], {}, undefined));
  };
}

export interface AskedRangeOfJob {
  readonly from: string | number;
  readonly to: string | number;
}

/** @throws Problem when the range cannot be recounted, because it is not final yet or its raw clicks are no longer kept */
export function askedRange(body: AskedRangeOfJob, rules: RangeRules, { finalUntil }: Finality): TimeRange {
  const range = rangeOf({ from: String(body.from), to: String(body.to) }, rules);
  if (range.from < rawSince(rules.now)) {
    throw invalid('from', body.from, `must be at most ${recountableDays} days ago`, 'older raw clicks are not kept');
  }
  if (finalUntil !== null && range.to <= finalUntil) return range;
  const until = finalUntil === null ? 'nothing is final yet' : `counts are final until ${isoOf(finalUntil)}`;
  const rule = `must not be after the end of what is final, and ${until}`;
  throw new Problem(409, 'not_final', brokenRule('to', body.to, rule, 'ask for an earlier range, or wait'));
}

const notFoundBecause =
  'none was asked for, or it is not stored yet (moments after its 202, and for as long as a sink is behind), or it is no longer kept';

/** @throws Problem when no such job is stored */
export function existing(job: Job | undefined, id: string): Job {
  if (job) return job;
  throw new Problem(404, 'not_found', brokenRule('id', id, 'ClickHouse has no job with this id', notFoundBecause));
}

export const JobSchema = Type.Object(
  {
    id: Type.String(),
    kind: Type.Enum(['replay', 'restate', 'reconcile'], { type: 'string' }),
    reason: Type.String({
      description:
        'Why it was made. `replay`: somebody asked for a replay. `rules`: somebody asked for a replay that judges clicks by other rules. `late` or `reconcile`: a restatement for late clicks, or for what a reconciliation has found. `hourly` or `asked`: a reconciliation of an hour that became final, or one that somebody asked for.',
    }),
    state: Type.Enum(['queued', 'running', 'done', 'failed', 'cancelled'], { type: 'string' }),
    apply: Type.Boolean({ description: 'Whether it changes counts.' }),
    ...rangeFields,
    minutes_done: countField('Minutes that are recounted already.'),
    minutes_total: countField('Minutes to recount.'),
    clicks_read: countField('Raw clicks that were read.'),
    cells_changed: countField('Counts that differ. Known when the job is done.'),
    error: Type.Union([Type.String(), Type.Null()], { description: 'Why it failed.' }),
    created_at: timeField('When it was made.'),
    updated_at: timeField('When it last reported its progress.'),
  },
  { additionalProperties: false },
);

export function shownJob(job: Job) {
  const { id, kind, reason, state, apply } = job;
  return {
    ...{ id, kind, reason, state, apply },
    from: isoOf(job.from),
    to: isoOf(job.to),
    minutes_done: job.minutesDone,
    minutes_total: job.minutesTotal,
    clicks_read: job.clicksRead,
    cells_changed: job.cellsChanged,
    error: job.error === '' ? null : job.error,
    created_at: isoOf(job.createdAt),
    updated_at: isoOf(job.updatedAt),
  };
}
