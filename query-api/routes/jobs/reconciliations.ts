/** POST and GET /v1/reconciliations: jobs that compare counts with raw clicks. */
import { Type } from 'typebox';
import type { Http } from '../../../infra/http.ts';
import { nextCursorField } from '../../http/cursor.ts';
import { countField, isoOf, problems, timeField } from '../../http/parameters.ts';
import { nothingCompared, resultOf } from '../../jobs/reconcile/reconcile-result.ts';
import type { Job } from '../../store/jobs/job.ts';
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

const pages = jobPages('reconciliations', ['reconcile']);

export function routeReconciliations(http: Http, deps: JobRoutesDeps): void {
  const { jobs } = deps;
  http.post('/v1/reconciliations', { schema: startSchema, config: { scope: 'operate' } }, async (request, reply) => {
    const wanted = { kind: 'reconcile', reason: 'asked', apply: false } as const;
    return shown(await startJob(deps, request, reply, '/v1/reconciliations', request.body, wanted));
  });

  http.get('/v1/reconciliations', { schema: listSchema, config: readingJobs }, async (request, reply) => {
    const { rows, next_cursor } = await pages(jobs, request.query);
    reply.header('cache-control', 'no-cache');
    return { reconciliations: rows.map(shown), next_cursor };
  });

  http.get('/v1/reconciliations/:id', { schema: getSchema, config: readingJobs }, async (request, reply) => {
    const { id } = request.params;
    reply.header('cache-control', 'no-cache');
    return shown(existing(await jobs.get(id, ['reconcile']), id));
  });
}

function shown(job: Job) {
  const { cells, differing, conflicts, ads, minutes, leftOut = 0, invalid = nothingCompared.invalid } = resultOf(job);
  return {
    ...shownJob(job),
    result: {
      cells_compared: cells,
      cells_differing: differing,
      conflicts,
      drift: ads.map(ad => ({ ...ad, drift: ad.raw - ad.counted })),
      minutes: minutes.slice(0, 1_000).map(isoOf),
      minutes_left_out: leftOut,
      invalid: {
        cells_compared: invalid.cells,
        cells_differing: invalid.differing,
        cells_split: invalid.split,
        cells_unsure: invalid.unsure,
        by_reason: invalid.reasons.map(({ off, ...each }) => ({
          ...each,
          drift: each.raw - each.counted,
          difference: off,
        })),
        drift: invalid.ads.map(each => ({ ...each, drift: each.raw - each.counted })),
      },
    },
  };
}

const invalidSums = {
  reason: Type.String({ description: 'A reason, or `all`: the total, where it is not the sum of the reasons.' }),
  cells: countField('Counts that differ by this reason.'),
  counted: countField('Invalid clicks of these counts by this reason.'),
  raw: countField('The same, by the rules over raw clicks.'),
  drift: Type.Integer({ description: 'raw - counted.' }),
};

const InvalidResult = Type.Object(
  {
    cells_compared: countField('How many counts (of an ad and a country in a minute) with rules were compared.'),
    cells_differing: countField('In how many of them the invalid clicks are not those by the rules.'),
    cells_split: countField(
      'How many of them are of split ads that were not recounted yet. Of these, only facts are compared, and that no more is invalid than by the rules.',
    ),
    cells_unsure: countField(
      'How many of them have clicks whose best copies say different things to caps, whose copies name several countries, or which are of erased persons. They may differ by as many clicks.',
    ),
    by_reason: Type.Array(
      Type.Object(
        { ...invalidSums, difference: countField('The sum of the differences of counts, each without its sign.') },
        { additionalProperties: false },
      ),
      { description: 'The reasons by which counts differ.' },
    ),
    drift: Type.Array(Type.Object({ ad_id: Type.String(), ...invalidSums }, { additionalProperties: false }), {
      description: 'The largest differences by ad and reason, at most 100.',
    }),
  },
  {
    additionalProperties: false,
    description: 'Invalid clicks, compared with a second statement of the rules, in SQL over raw clicks.',
  },
);

const Reconciliation = Type.Object(
  {
    ...JobSchema.properties,
    result: Type.Object(
      {
        cells_compared: countField('How many counts (of an ad in a minute) were compared.'),
        cells_differing: countField('How many of them differ from raw clicks.'),
        conflicts: countField(
          'Clicks (ad and event id) whose copies name several countries. Each is counted once, in one of these countries. In minutes from before event ids were per ad, this includes event ids that several ads use. Each of them is counted for one of these ads.',
        ),
        drift: Type.Array(
          Type.Object(
            {
              ad_id: Type.String(),
              cells: countField('Minutes that differ.'),
              counted: countField('Clicks of these minutes in the counts.'),
              raw: countField('Distinct event ids of the ad in raw clicks.'),
              drift: Type.Integer({ description: 'raw - counted.' }),
            },
            { additionalProperties: false },
          ),
          { description: 'The ads with the largest drift, at most 100.' },
        ),
        minutes: Type.Array(timeField('A minute that differs.'), {
          description: 'The minutes in which counts or invalid clicks differ, at most 1,000.',
        }),
        minutes_left_out: countField(
          'Minutes that were not compared, because they were about to be restated: late clicks kept coming, or a split ad was not counted again yet.',
        ),
        invalid: InvalidResult,
      },
      { additionalProperties: false },
    ),
  },
  { additionalProperties: false },
);

const startSchema = {
  tags: ['jobs'],
  operationId: 'startReconciliation',
  summary: 'Compare final counts, and which clicks are invalid, with raw clicks in SQL, without the streaming code',
  description:
    'Makes a job and answers at once. `GET /v1/reconciliations/{id}` shows the job. It changes nothing. The range must be final, and its raw clicks must still be kept. The job waits up to ten minutes for late clicks and split ads to be restated. Jobs take turns of a few seconds. At most `JOBS_MAX_OPEN` reconciliations that people asked for may be queued or running. More are refused with 429 `too_many_open_jobs`, which has the fields `kind`, `limit` and `open`.',
  body: Type.Object(JobBody.properties, { additionalProperties: false }),
  response: { 202: Reconciliation, ...startProblems },
} as const;

const listSchema = {
  tags: ['jobs'],
  operationId: 'listReconciliations',
  summary: 'All reconciliations, the unfinished ones first (one is made for each hour that becomes final)',
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
  summary: 'How far a reconciliation has come, and what it has found',
  description: 'The result is complete when `state` is `done`.',
  params: JobIdParams,
  querystring: Type.Object({}, { additionalProperties: false }),
  response: { 200: Reconciliation, ...jobProblems },
} as const;
