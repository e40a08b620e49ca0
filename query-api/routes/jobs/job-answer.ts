/** What routes of jobs share: what may be asked for, and how a job is shown. */

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
  from: moment('begin, inclusive: RFC 3339 with zone, or epoch milliseconds; a whole minute'),
  to: moment('end, exclusive: as `from`; all of the range must be final'),
});

export const JobIdParams = Type.Object({
  id: Type.String({ pattern: jobIdPattern.source, description: 'the job (a ULID)' }),
});

export const jobProblems = { ...problems, 404: ProblemSchema, 409: ProblemSchema };
/** Of a request that makes a job. */
export const startProblems = { ...problems, 409: ProblemSchema, 429: ProblemSchema };

export const jobListParameters = Type.Object(
  {
    ...pageParameters('jobs', { default: 100, maximum: 1_000 }),
  },
  { additionalProperties: false },
);

/** How a list of jobs is ordered, for its description. */
export const jobListOrder =
  'Those that run come first, then those that are queued, then those that have ended; of each the newest first. `next_cursor` leads from page to page; a job that goes on to another state meanwhile moves, and may be met twice.';

/** Reads pages of a list of jobs of those kinds. */
export function jobPages(list: string, kinds: readonly JobKind[]) {
  const cursors = cursorsOf(
    list,
    Type.Tuple([Type.Integer({ minimum: 0, maximum: 2 }), Type.String({ pattern: jobIdPattern.source })]),
  );
  return async (jobs: Pick<JobStore, 'list'>, asked: Static<typeof jobListParameters>) => {
    const { limit = 100, cursor } = asked;
    const [rank, id] = cursors.read(cursor, {}) ?? [];
    const after = rank === undefined || id === undefined ? undefined : { rank, id };
    const found = await jobs.list(kinds, after, limit + 1);
    return pageOf(found, limit, last => cursors.write([rankOf(last), last.id], {}));
  };
}

export interface AskedRangeOfJob {
  readonly from: string | number;
  readonly to: string | number;
}

/** @throws Problem where the range cannot be recounted: not final yet, or its clicks no longer kept */
export function askedRange(body: AskedRangeOfJob, rules: RangeRules, { finalUntil }: Finality): TimeRange {
  const range = rangeOf({ from: String(body.from), to: String(body.to) }, rules);
  if (range.from < rawSince(rules.now)) {
    throw invalid('from', body.from, `must be at most ${recountableDays} days ago`, 'older raw clicks are not kept');
  }
  if (finalUntil !== null && range.to <= finalUntil) return range;
  const until = finalUntil === null ? 'nothing is final yet' : `the counts are final until ${isoOf(finalUntil)}`;
  const rule = `must not lie beyond what is final, and ${until}`;
  throw new Problem(409, 'not_final', brokenRule('to', body.to, rule, 'ask for less, or wait'));
}

/** @throws Problem where there is none */
export function existing(job: Job | undefined, id: string): Job {
  if (job) return job;
  throw new Problem(404, 'not_found', brokenRule('id', id, 'there is no such job'));
}

export const JobSchema = Type.Object(
  {
    id: Type.String(),
    kind: Type.Enum(['replay', 'restate', 'reconcile'], { type: 'string' }),
    reason: Type.String({ description: '`replay`; `late`, `reconcile`: why it restates; `hourly` or `asked`' }),
    state: Type.Enum(['queued', 'running', 'done', 'failed', 'cancelled'], { type: 'string' }),
    apply: Type.Boolean({ description: 'whether it changes counts' }),
    ...rangeFields,
    minutes_done: countField('minutes recounted'),
    minutes_total: countField('minutes to recount'),
    clicks_read: countField('raw clicks read'),
    cells_changed: countField('counts found to differ; known at the end'),
    error: Type.Union([Type.String(), Type.Null()], { description: 'why it failed' }),
    created_at: timeField('when it was asked for'),
    updated_at: timeField('when it was last heard of'),
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
