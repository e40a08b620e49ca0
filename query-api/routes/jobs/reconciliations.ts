/** POST and GET /v1/reconciliations: counts compared with raw clicks, as jobs. */
import { Type } from 'typebox';
import type { Http } from '../../../infra/http.ts';
import { nextCursorField } from '../../http/cursor.ts';
import { countField, isoOf, problems, timeField } from '../../http/parameters.ts';
import { resultOf } from '../../jobs/reconcile/reconcile-job.ts';
import { finalityOf } from '../../store/finality.ts';
import { type Job, newJob } from '../../store/jobs/job.ts';
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

const pages = jobPages('reconciliations', ['reconcile']);

export function routeReconciliations(http: Http, { queries, jobs, askedJobs, now, rules }: JobRoutesDeps): void {
  http.post('/v1/reconciliations', { schema: startSchema, config: { scope: 'operate' } }, async (request, reply) => {
    const range = askedRange(request.body, rules(), finalityOf(await queries.progress()));
    const job = newJob({ kind: 'reconcile', reason: 'asked', apply: false, ...range }, now());
    await askedJobs.take(job);
    reply.code(202).header('location', `/v1/reconciliations/${job.id}`);
    return shown(job);
  });

  http.get('/v1/reconciliations', { schema: listSchema, config: { scope: 'read' } }, async (request, reply) => {
    const { rows, next_cursor } = await pages(jobs, request.query);
    reply.header('cache-control', 'no-cache');
    return { reconciliations: rows.map(shown), next_cursor };
  });

  http.get('/v1/reconciliations/:id', { schema: getSchema, config: { scope: 'read' } }, async (request, reply) => {
    const { id } = request.params;
    reply.header('cache-control', 'no-cache');
    return shown(existing(await jobs.get(id, ['reconcile']), id));
  });
}

function shown(job: Job) {
  const { cells, differing, conflicts, ads, minutes, leftOut = 0 } = resultOf(job);
  return {
    ...shownJob(job),
    result: {
      cells_compared: cells,
      cells_differing: differing,
      conflicts,
      drift: ads.map(ad => ({ ...ad, drift: ad.raw - ad.counted })),
      minutes: minutes.slice(0, 1_000).map(isoOf),
      minutes_left_out: leftOut,
    },
  };
}

const Reconciliation = Type.Object(
  {
    ...JobSchema.properties,
    result: Type.Object(
      {
        cells_compared: countField('counts of an ad in a minute that were compared'),
        cells_differing: countField('those that differ from raw clicks'),
        conflicts: countField(
          'clicks (ad and event id) whose copies tell several countries: each counts once, in one of them. In minutes from before ids were per ad, also ids under several ads, counted for one of them',
        ),
        drift: Type.Array(
          Type.Object(
            {
              ad_id: Type.String(),
              cells: countField('minutes that differ'),
              counted: countField('clicks answered for those'),
              raw: countField('distinct event ids of the ad in raw'),
              drift: Type.Integer({ description: 'raw - counted' }),
            },
            { additionalProperties: false },
          ),
          { description: 'the ads with the largest drift, at most 100' },
        ),
        minutes: Type.Array(timeField('a minute that differs'), { description: 'at most 1,000' }),
        minutes_left_out: countField('minutes that were not compared, as clicks kept coming late to them'),
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);

const startSchema = {
  tags: ['jobs'],
  operationId: 'startReconciliation',
  summary: 'Compare final counts with distinct clicks (ad and event id) in raw, in SQL, apart from the streaming code',
  description:
    'Makes a job and answers at once; look at it with `GET /v1/reconciliations/{id}`. It changes nothing. The range must be final, and its raw clicks still kept. Late clicks are waited for, up to ten minutes. Jobs take turns of a few seconds. At most `JOBS_MAX_OPEN` reconciliations that were asked for may wait or run: beyond, 429 `too_many_open_jobs` tells `kind`, `limit` and `open`.',
  body: Type.Object(JobBody.properties, { additionalProperties: false }),
  response: { 202: Reconciliation, ...startProblems },
} as const;

const listSchema = {
  tags: ['jobs'],
  operationId: 'listReconciliations',
  summary: 'Reconciliations, those first that are not done yet; one is made for each hour that becomes final',
  description: jobListOrder,
  querystring: jobListParameters,
  response: {
    200: Type.Object(
      { reconciliations: Type.Array(Reconciliation), next_cursor: nextCursorField },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;

const getSchema = {
  tags: ['jobs'],
  operationId: 'getReconciliation',
  summary: 'How far a reconciliation is, and what it has found',
  description: 'The result is complete once `state` is `done`.',
  params: JobIdParams,
  querystring: Type.Object({}, { additionalProperties: false }),
  response: { 200: Reconciliation, ...jobProblems },
} as const;
