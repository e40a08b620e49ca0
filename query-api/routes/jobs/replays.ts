/** POST, GET and DELETE /v1/replays: jobs that recount final minutes from raw clicks. */

import { Type } from 'typebox';
import { brokenRule } from '../../../infra/broken-rule.ts';
import { type Http, Problem } from '../../../infra/http.ts';
import { adIdPattern, countryPattern } from '../../../ingest/click.ts';
import { cursorsOf, nextCursorField, pageOf, pageParameters } from '../../http/cursor.ts';
import { countField, isoOf, problems, timeField } from '../../http/parameters.ts';
import type { DiffRow } from '../../store/jobs/diff-rows.ts';
import type { Job } from '../../store/jobs/job.ts';
import { askedRules, mostAds, RulesEffectField, rulesParameters, shownEffect } from './asked-rules.ts';
import {
  existing,
  JobBody,
  JobIdParams,
  JobSchema,
  jobListOrder,
  jobListParameters,
  jobPages,
  jobProblems,
  readingJobs,
  shownJob,
  startProblems,
} from './job-answer.ts';
import type { JobRoutesDeps } from './job-deps.ts';
import { startJob } from './started-job.ts';

/** Restatements are jobs of the same form, so these routes show them too. */
const kinds = ['replay', 'restate'] as const;
const pages = jobPages('replays', kinds);

/** A cursor contains the last row of its page: the minute in epoch ms, the ad and the country. */
const cursors = cursorsOf(
  'diff',
  Type.Tuple([
    Type.Integer({ minimum: 0, maximum: 2 ** 32 * 1_000 - 1 }),
    Type.String({ pattern: adIdPattern.source }),
    Type.String({ pattern: countryPattern.source }),
  ]),
);

export function routeReplays(http: Http, deps: JobRoutesDeps): void {
  const { jobs, jobRequests, validityRules, now } = deps;
  http.post('/v1/replays', { schema: startSchema, config: { scope: 'operate' } }, async (request, reply) => {
    const { apply = false } = request.body;
    const byRules = await askedRules(request.body, validityRules);
    const wanted = { kind: 'replay', reason: 'replay', apply, ...byRules } as const;
    return shownJob(await startJob(deps, request, reply, '/v1/replays', request.body, wanted));
  });

  http.get('/v1/replays', { schema: listSchema, config: readingJobs }, async (request, reply) => {
    const { rows, next_cursor } = await pages(jobs, request.query);
    reply.header('cache-control', 'no-cache');
    return { replays: rows.map(shownJob), next_cursor };
  });

  http.get('/v1/replays/:id', { schema: getSchema, config: readingJobs }, async (request, reply) => {
    const { id } = request.params;
    const { limit = 100, cursor } = request.query;
    const [minute = 0, adId = '', country = ''] = cursors.read(cursor, { id }, undefined) ?? [];
    const job = existing(await jobs.get(id, kinds), id);
    const rows = await jobs.diff(id, { minute, adId, country }, limit + 1);
    const page = pageOf(rows, limit, last => cursors.write([last.minute, last.ad_id, last.country], { id }, undefined));
    const totals = await jobs.diffTotals(id);
    const ads = job.reason === 'rules' ? await jobs.diffByAd(id, mostAds) : [];
    reply.header('cache-control', 'no-cache');
    return {
      ...shownJob(job),
      rules_effect: shownEffect(job, ads),
      diff: { ...totals, rows: page.rows.map(shownRow), next_cursor: page.next_cursor },
    };
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

/** A restatement counts clicks that were answered with 202. Without it they would be lost. */
function notCancellable({ id, reason }: Job): Problem {
  const does =
    reason === 'late' ? 'counts clicks that came late' : 'corrects counts that a reconciliation found to be wrong';
  return new Problem(
    409,
    'not_cancellable',
    brokenRule(
      'id',
      id,
      `must be a replay, and is a restatement, which ${does} and is never cancelled`,
      `wait until it is done, which GET /v1/replays/${id} shows`,
    ),
  );
}

function shownRow({ minute, before_invalid, after_invalid, ...row }: DiffRow) {
  return { ...row, minute: isoOf(minute), invalid_before: before_invalid, invalid_after: after_invalid };
}

const Diff = Type.Object(
  {
    cells: countField('How many counts (of a minute, an ad and a country) differ.'),
    before: countField('Clicks in these counts as they are.'),
    after: countField('Clicks in these counts as recounted.'),
    invalid_before: countField('How many of `before` are invalid. before - invalid_before is net.'),
    invalid_after: countField('How many of `after` are invalid. after - invalid_after is net.'),
    rows: Type.Array(
      Type.Object(
        {
          minute: timeField('The minute.'),
          ad_id: Type.String(),
          country: Type.String(),
          before: countField('Clicks as they were counted.'),
          after: countField('Clicks as recounted.'),
          invalid_before: countField('How many of `before` are invalid.'),
          invalid_after: countField('How many of `after` are invalid.'),
        },
        { additionalProperties: false },
      ),
      { description: 'Ordered by minute, ad and country.' },
    ),
    next_cursor: nextCursorField,
  },
  { additionalProperties: false },
);

const startSchema = {
  tags: ['jobs'],
  operationId: 'startReplay',
  summary: 'Recount final minutes from raw clicks, to see what differs or to apply it',
  description:
    'Makes a job and answers at once. `GET /v1/replays/{id}` shows the job. The range must be final, and its raw clicks must still be kept. Without `apply`, nothing is changed. With `rules` or `draft_rules`, the clicks are judged by these rules instead of those by which their minutes were counted, and `rules_effect` of the job says what that changes. The same request again makes a second job. If the first one has applied its changes, the second one finds nothing to change. Jobs take turns of a few seconds, so a short job does not wait for the end of a long one. At most `JOBS_MAX_OPEN` replays that people asked for may be queued or running. More are refused with 429 `too_many_open_jobs`, which has the fields `kind`, `limit` and `open`.',
  body: Type.Object(
    {
      ...JobBody.properties,
      apply: Type.Optional(
        Type.Boolean({ default: false, description: 'True: restate what differs. False: only report it.' }),
      ),
      ...rulesParameters,
    },
    { additionalProperties: false },
  ),
  response: { 202: JobSchema, ...startProblems },
} as const;

const listSchema = {
  tags: ['jobs'],
  operationId: 'listReplays',
  summary: 'All replays and restatements, the unfinished ones first',
  description: `The list includes restatements, which the pipeline makes by itself for minutes with late clicks. ${jobListOrder}`,
  querystring: jobListParameters,
  response: {
    200: Type.Object({ replays: Type.Array(JobSchema), next_cursor: nextCursorField }, { additionalProperties: false }),
    ...problems,
  },
} as const;

const getSchema = {
  tags: ['jobs'],
  operationId: 'getReplay',
  summary: 'How far a replay has come, and the counts that differ, page by page',
  description:
    'The diff is complete when `state` is `done`. Before that, it has what was found so far. `next_cursor` leads to the next page.',
  params: JobIdParams,
  querystring: Type.Object(
    {
      ...pageParameters('rows', { default: 100, maximum: 10_000 }),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      { ...JobSchema.properties, rules_effect: RulesEffectField, diff: Diff },
      { additionalProperties: false },
    ),
    ...jobProblems,
  },
} as const;

const cancelSchema = {
  tags: ['jobs'],
  operationId: 'cancelReplay',
  summary: 'Cancel a replay',
  description:
    'What the replay has already applied stays applied, always as whole minutes. A job that has already ended stays as it is. The answer has the job as it was before the cancellation. Restatements, which the pipeline makes by itself, are refused with 409 `not_cancellable`. Without them, late clicks would be in no count.',
  params: JobIdParams,
  response: { 202: JobSchema, ...jobProblems },
} as const;
