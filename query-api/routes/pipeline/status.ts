/** GET /v1/status: how far each partition is counted, and whether every line that came in is accounted for. */
import { Type } from 'typebox';
import { cached } from '../../../infra/cached.ts';
import type { Http } from '../../../infra/http.ts';
import {
  NodeStatus,
  nodesStatus,
  ReplicasStatus,
  replicasStatus,
  type StoreNodes,
} from '../../answers/nodes-status.ts';
import { hotAdsOf, runnerStatus, statusOf, waitingStatus } from '../../answers/pipeline-status.ts';
import { type StallWatch, stillMs } from '../../answers/stalled-partitions.ts';
import { countField, problems, timeField } from '../../http/parameters.ts';
import type { CountedLog } from '../../log/counted-log.ts';
import type { Routing } from '../../log/hot-ad-rules.ts';
import type { LogEnds } from '../../log/log-ends.ts';
import type { Replicas } from '../../replicas/replicas.ts';
import { hasReplicas } from '../../replicas/shard.ts';
import { partitionsOf } from '../../store/finality.ts';
import type { Store } from '../../store/open-store.ts';

export interface StatusDeps
  extends Pick<Store, 'conservation' | 'lateClicks' | 'queries' | 'replicaChecks' | 'runners'> {
  readonly replicas: Pick<Replicas, 'each'>;
  /** Of ClickHouse. */
  readonly nodes: StoreNodes;
  readonly nodePositions: CountedLog['nodePositions'];
  /** Called with each progress that is read of the pipeline's state. */
  readonly stalls: StallWatch;
  readonly logEnds: LogEnds;
  /** Which ads are split, over how many partitions; undefined: Kafka does not answer. */
  readonly routing: () => Promise<Routing | undefined>;
  /** Epoch ms. */
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<unknown>;
}

export function routeStatus(http: Http, deps: StatusDeps): void {
  const { replicas, nodes, nodePositions, queries, stalls, lateClicks, logEnds, routing, now, wait } = deps;
  const kept = replicas.each(() => ({
    quarantine: cached(() => queries.quarantineByReason(), 5_000, now),
    writtenOff: cached(() => queries.writtenOff(), 5_000, now),
    checked: cached(() => deps.conservation.latest(), 500, now),
    compared: cached(() => deps.replicaChecks.latest(), 500, now),
    runner: cached(() => deps.runners.latest(), 500, now),
  }));
  /** A second look only where nobody has had a first one, as when `adclicks status` asks a process that nobody else asks. */
  const counting = async () => {
    const progress = await queries.progress();
    const { stalled, isUnsure } = stalls(progress);
    if (!isUnsure) return { progress, stalled };
    await wait(stillMs);
    const later = await queries.progress();
    return { progress: later, stalled: stalls(later).stalled };
  };
  http.get('/v1/status', { schema, config: { scope: 'read' } }, async (_request, reply) => {
    const { progress, stalled } = await counting();
    const { quarantine, writtenOff, checked, compared, runner } = kept();
    const [ends, known, reasons, off, late, positions, rowsChecked, inOffice, replicasChecked] = await Promise.all([
      logEnds(),
      routing(),
      quarantine(),
      writtenOff(),
      lateClicks(),
      nodePositions?.().catch(() => []) ?? [],
      checked(),
      runner(),
      hasReplicas(nodes.list) ? compared() : undefined,
    ]);
    const unrecorded = partitionsOf(progress) || (ends?.size ?? 0);
    reply.header('cache-control', 'no-cache');
    return {
      ...statusOf(progress, ends, rowsChecked, off, stalled, now()),
      hot_ads: known ? hotAdsOf(known, unrecorded, now()) : null,
      late: waitingStatus(late),
      nodes: nodesStatus(nodes, positions),
      replicas: hasReplicas(nodes.list) ? replicasStatus(replicasChecked) : null,
      job_runner: runnerStatus(inOffice, now()),
      quarantine: Object.fromEntries(reasons.map(({ reason, lines }) => [reason, lines])),
    };
  });
}

const orNull = (description: string) => Type.Union([timeField(description), Type.Null()]);
const integerOrNull = (description: string) => Type.Union([Type.Integer(), Type.Null()], { description });

const lineFields = {
  received: countField('lines since the beginning of the log'),
  counted: countField('distinct clicks among them'),
  duplicates: countField('further copies of counted clicks'),
  quarantined: countField('lines set aside with a reason'),
  acknowledged: countField(
    'lines that ingest was told are in the log, and has told clients so with 202, as later records say',
  ),
  unacknowledged: Type.Integer({
    description:
      'received - (acknowledged - missing): lines of the last second, of other producers, of sends whose outcome ingest never learned, and from before acknowledgements were told',
  }),
  missing: countField('acknowledged lines that are not in the log: lost clicks'),
  written_off: countField('those of them that a person has looked into'),
};

const PartitionStatus = Type.Object(
  {
    partition: Type.Integer(),
    position: countField('offset of the next record to count'),
    end_offset: integerOrNull('end of the log; null: Kafka did not answer'),
    lag_records: integerOrNull('records that are not counted yet; null: Kafka did not answer'),
    watermark: orNull('no older click is expected'),
    watermark_age_ms: integerOrNull('lag in event time'),
    appended_at: orNull("the broker's time of the last record counted"),
    final_until: orNull('minutes that end at or before this are final'),
    stalled_since: orNull(
      'nothing of this partition has been counted since, by the time of its last counted record: its aggregator has stopped, or cannot go on; null: it is being counted, or nothing of it ever was',
    ),
    ...lineFields,
    balance: Type.Integer({ description: 'received - counted - duplicates - quarantined: always 0' }),
  },
  { additionalProperties: false },
);

const HotAd = Type.Object(
  {
    ad_id: Type.String(),
    from: timeField('the first minute of event time that is split'),
    until: timeField('the first that is not any more; put off while the ad stays hot'),
    partitions: countField('over which its clicks are spread'),
  },
  { additionalProperties: false },
);

const RowsStatus = Type.Object(
  {
    checked_at: orNull('when all partitions were last compared; null: not all have been yet'),
    difference: countField('lines that differ, over all partitions: 0 as long as every line is there, once'),
    differences: Type.Array(
      Type.Object(
        {
          partition: Type.Integer(),
          outcome: Type.Enum(['received', 'counted', 'duplicates', 'quarantined'], { type: 'string' }),
          expected: countField('as counted'),
          found: Type.Integer({ description: 'as the rows say' }),
          difference: Type.Integer({ description: 'found - expected' }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);

const schema = {
  tags: ['pipeline'],
  operationId: 'getStatus',
  summary: 'How far each partition is counted, and whether every line is accounted for',
  description:
    'Of each partition of the log: position, lag in records and in event time, and the sums acknowledged - missing + unacknowledged = received = counted + duplicates + quarantined. Of the rows in ClickHouse the same, as the job runner has compared them.',
  querystring: Type.Object({}, { additionalProperties: false }),
  response: {
    200: Type.Object(
      {
        watermark: orNull('the smallest of all partitions; null: not every partition has been heard of'),
        watermark_age_ms: integerOrNull('lag in event time'),
        final_until: orNull('minutes that end at or before this are final in every partition'),
        partitions: Type.Array(PartitionStatus),
        conservation: Type.Object(
          {
            ...lineFields,
            unread_records: integerOrNull('records of the log that are not counted yet; null: Kafka did not answer'),
            balanced: Type.Boolean({
              description:
                'in each partition: acknowledged - missing + unacknowledged = received = counted + duplicates + quarantined, no line is missing that is not written off, and no accepted click is `uncounted`',
            }),
            uncounted: integerOrNull(
              'accepted clicks that are in raw and in no count 15 minutes after they came too late: 0 as long as restatements are made; null: the job runner has not looked for any',
            ),
            rows: Type.Union([RowsStatus, Type.Null()], {
              description:
                'the same of the rows in ClickHouse, as the job runner last found; null: it has not compared them',
            }),
          },
          { additionalProperties: false },
        ),
        hot_ads: Type.Union([Type.Array(HotAd), Type.Null()], {
          description: 'ads whose clicks are, or will be, split over partitions; null: Kafka did not answer',
        }),
        late: Type.Object(
          {
            clicks: countField('late clicks that wait for their restatement, copies among them'),
            minutes: countField('to which they belong'),
            since: orNull('when the one came that has waited longest; null: none waits'),
          },
          { additionalProperties: false },
        ),
        nodes: Type.Array(NodeStatus, { description: 'of ClickHouse; each holds all of its shard’s part of the log' }),
        replicas: Type.Union([ReplicasStatus, Type.Null()], {
          description: 'whether the nodes of a shard are equal, as whoever runs the jobs has found; null: there is one',
        }),
        job_runner: Type.Union(
          [
            Type.Object(
              {
                host: Type.String({ description: 'host and port of the process' }),
                since: timeField('since when it runs the jobs'),
                seen_at: timeField('when it has last said so'),
                runs: Type.Boolean({ description: 'false: it has been silent since, and nobody runs jobs' }),
              },
              { additionalProperties: false },
            ),
            Type.Null(),
          ],
          {
            description:
              'who restates late clicks, replays and reconciles; null: nobody has yet. Where it ends, another that is there takes over within ten seconds',
          },
        ),
        quarantine: Type.Record(Type.String(), Type.Integer({ minimum: 0 }), {
          description: 'lines in quarantine that are still kept, by reason',
        }),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
