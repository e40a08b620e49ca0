/** POST, GET and DELETE /v1/replays: recounts of final minutes from raw clicks, as jobs. */

import { Type } from 'typebox';
import { brokenRule } from '../../../infra/broken-rule.ts';
import { type Http, Problem } from '../../../infra/http.ts';
import { adIdPattern, countryPattern } from '../../../ingest/click.ts';
import { cursorParameter, cursorsOf, nextCursorField, pageOf } from '../../http/cursor.ts';
import { countField, isoOf, problems, timeField } from '../../http/parameters.ts';
import { finalityOf } from '../../store/finality.ts';
import { type Job, newJob } from '../../store/jobs/job.ts';
import type { DiffRow } from '../../store/jobs/job-store.ts';
import {
  askedRange,
  existing,
  JobBody,
  JobIdParams,
  JobSchema,
  jobListOrder,
  jobListParameters,
  jobPages,
  jobProblems,
  shownJob,
  startProblems,
} from './job-answer.ts';
import type { JobRoutesDeps } from './job-deps.ts';

/** Restatements of late minutes are jobs of the same form: they can be looked at, too. */
const kinds = ['replay', 'restate'] as const;
const pages = jobPages('replays', kinds);

/** The last row of a page of a diff: minute in epoch ms, ad, country. */
const cursors = cursorsOf(
  'diff',
  Type.Tuple([
    Type.Integer({ minimum: 0, maximum: 2 ** 32 * 1_000 - 1 }),
    Type.String({ pattern: adIdPattern.source }),
    Type.String({ pattern: countryPattern.source }),
  ]),
);

export function routeReplays(http: Http, { queries, jobs, askedJobs, jobRequests, now, rules }: JobRoutesDeps): void {
  http.post('/v1/replays', { schema: startSchema, config: { scope: 'operate' } }, async (request, reply) => {
    const range = askedRange(request.body, rules(), finalityOf(await queries.progress()));
    const job = newJob({ kind: 'replay', reason: 'replay', apply: request.body.apply ?? false, ...range }, now());
    await askedJobs.take(job);
    reply.code(202).header('location', `/v1/replays/${job.id}`);
    return shownJob(job);
  });

  http.get('/v1/replays', { schema: listSchema, config: { scope: 'read' } }, async (request, reply) => {
    const { rows, next_cursor } = await pages(jobs, request.query);
    reply.header('cache-control', 'no-cache');
    return { replays: rows.map(shownJob), next_cursor };
  });

  http.get('/v1/replays/:id', { schema: getSchema, config: { scope: 'read' } }, async (request, reply) => {
    const { id } = request.params;
    const { limit = 100, cursor } = request.query;
    const [minute = 0, adId = '', country = ''] = cursors.read(cursor, { id }) ?? [];
    const job = existing(await jobs.get(id, kinds), id);
    const rows = await jobs.diff(id, { minute, adId, country }, limit + 1);
    const page = pageOf(rows, limit, last => cursors.write([last.minute, last.ad_id, last.country], { id }));
    const totals = await jobs.diffTotals(id);
    reply.header('cache-control', 'no-cache');
    return { ...shownJob(job), diff: { ...totals, rows: page.rows.map(shownRow), next_cursor: page.next_cursor } };
  });

  http.delete('/v1/replays/:id', { schema: cancelSchema, config: { scope: 'operate' } }, async (request, reply) => {
    const { id } = request.params;
    const job = existing(await jobs.get(id, kinds), id);
    if (job.kind === 'restate') throw notCancellable(job);
    if (isOpen(job)) await jobRequests.cancel(id, now());
    reply.code(202);
    return shownJob(job);
  });
}

function isOpen({ state }: Job): boolean {
  return state === 'queued' || state === 'running';
}

/** A restatement puts clicks into their count that were answered with 202: not to make it is to lose them. */
function notCancellable({ id, reason }: Job): Problem {
  const why =
    reason === 'late' ? 'clicks that came late into their count' : 'counts right that a reconciliation found wrong';
  return new Problem(
    409,
    'not_cancellable',
    brokenRule(
      'id',
      id,
      `must be a replay, and is a restatement, which puts ${why} and is never cancelled`,
      `wait until it is done, as GET /v1/replays/${id} tells`,
    ),
  );
}

function shownRow({ minute, ad_id, country, before, after }: DiffRow) {
  return { minute: isoOf(minute), ad_id, country, before, after };
}

const Diff = Type.Object(
  {
    cells: countField('(minute, ad, country) whose clicks differ'),
    before: countField('clicks of those as they were counted'),
    after: countField('clicks of those as recounted'),
    rows: Type.Array(
      Type.Object(
        {
          minute: timeField('the minute'),
          ad_id: Type.String(),
          country: Type.String(),
          before: countField('as counted'),
          after: countField('as recounted'),
        },
        { additionalProperties: false },
      ),
      { description: 'in the order of minute, ad and country' },
    ),
    next_cursor: nextCursorField,
  },
  { additionalProperties: false },
);

const startSchema = {
  tags: ['jobs'],
  operationId: 'startReplay',
  summary: 'Recount final minutes from raw clicks, to see or to apply what differs',
  description:
    'Makes a job and answers at once; look at it with `GET /v1/replays/{id}`. The range must be final, and its raw clicks still kept. Without `apply` nothing is changed. Asked twice, it makes two jobs, of which the second finds nothing to change. Jobs take turns of a few seconds, so a short one does not wait for the end of a long one. At most `JOBS_MAX_OPEN` replays that were asked for may wait or run: beyond, 429 `too_many_open_jobs` tells `kind`, `limit` and `open`.',
  body: Type.Object(
    {
      ...JobBody.properties,
      apply: Type.Optional(Type.Boolean({ default: false, description: 'restate what differs; false: only tell' })),
    },
    { additionalProperties: false },
  ),
  response: { 202: JobSchema, ...startProblems },
} as const;

const listSchema = {
  tags: ['jobs'],
  operationId: 'listReplays',
  summary: 'Replays and restatements, those first that are not done yet',
  description: `Also restatements, which the countedLog makes by itself of minutes into which clicks came late. ${jobListOrder}`,
  querystring: jobListParameters,
  response: {
    200: Type.Object({ replays: Type.Array(JobSchema), next_cursor: nextCursorField }, { additionalProperties: false }),
    ...problems,
  },
} as const;

const getSchema = {
  tags: ['jobs'],
  operationId: 'getReplay',
  summary: 'How far a replay is, and what it has found to differ, page by page',
  description:
    'The diff is complete once `state` is `done`; before, it has what was found so far. `next` leads from page to page.',
  params: JobIdParams,
  querystring: Type.Object(
    {
      limit: Type.Optional(Type.Integer({ default: 100, minimum: 1, maximum: 10_000, description: 'rows of a page' })),
      cursor: cursorParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({ ...JobSchema.properties, diff: Diff }, { additionalProperties: false }),
    ...jobProblems,
  },
} as const;

const cancelSchema = {
  tags: ['jobs'],
  operationId: 'cancelReplay',
  summary: 'End a replay; what it has applied stays applied, and is restated as a whole minute',
  description:
    'A job that has already ended stays as it is. The answer has the job as it was when this was asked for. Restatements, which the pipeline makes by itself, are refused with 409 `not_cancellable`: without them clicks that came late would be in no count.',
  params: JobIdParams,
  response: { 202: JobSchema, ...jobProblems },
} as const;
