/** GET /v1/status: says how far each partition is counted, and whether every line is accounted for. */
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
import { hotAdsOf, runnerStatus, splitStatus, statusOf, waitingStatus } from '../../answers/pipeline-status.ts';
import { type StallWatch, stillMs } from '../../answers/stalled-partitions.ts';
import { countField, integerOrNullField, problems, timeField, timeOrNullField } from '../../http/parameters.ts';
import type { CountedLog } from '../../log/counted-log.ts';
import type { Routing } from '../../log/hot-ad-rules.ts';
import type { LogEnds } from '../../log/log-ends.ts';
import type { Replicas } from '../../replicas/replicas.ts';
import { hasReplicas } from '../../replicas/shard.ts';
import { finalityOf, partitionsOf } from '../../store/finality.ts';
import type { Store } from '../../store/open-store.ts';

export interface StatusDeps
  extends Pick<Store, 'conservation' | 'lateClicks' | 'splitClicks' | 'queries' | 'replicaChecks' | 'runners'> {
  readonly replicas: Pick<Replicas, 'each'>;
  /** The ClickHouse nodes. */
  readonly nodes: StoreNodes;
  readonly nodePositions: CountedLog['nodePositions'];
  /** Must see every progress that is read, because it compares each one with the one before. */
  readonly stalls: StallWatch;
  readonly logEnds: LogEnds;
  /** Which ads are split, over how many partitions. Undefined: Kafka does not answer. */
  readonly routing: () => Promise<Routing | undefined>;
  /** Epoch ms. */
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<unknown>;
}

export function routeStatus(http: Http, deps: StatusDeps): void {
  const { replicas, nodes, nodePositions, queries, stalls, lateClicks, splitClicks, logEnds, routing, now, wait } =
    deps;
  const kept = replicas.each(() => ({
    quarantine: cached(() => queries.quarantineByReason(), 5_000),
    writtenOff: cached(() => queries.writtenOff(), 5_000),
    checked: cached(() => deps.conservation.latest(), 500),
    compared: cached(() => deps.replicaChecks.latest(), 500),
    runner: cached(() => deps.runners.latest(), 500),
  }));
  /**
   * It looks a second time only if nobody has looked before, for example when `adclicks status` asks a process that nobody
   * else asks.
   */
  const counting = async () => {
    const progress = await queries.progress();
    const { stalled, isUnsure } = stalls(progress);
    if (!isUnsure) return { progress, stalled };
    await wait(stillMs);
    const later = await queries.progress();
    return { progress: later, stalled: stalls(later).stalled };
  };
  http.get(
    '/v1/status',
    { schema, config: { scope: 'read', tenants: { refused: 'it tells how many clicks of all ads there are' } } },
    async (_request, reply) => {
      const { progress, stalled } = await counting();
      const { quarantine, writtenOff, checked, compared, runner } = kept();
      const [ends, known, reasons, off, late, split, positions, rowsChecked, active, replicasChecked] =
        await Promise.all([
          logEnds(),
          routing(),
          quarantine(),
          writtenOff(),
          lateClicks(),
          splitClicks(finalityOf(progress).finalUntil),
          nodePositions?.().catch(() => []) ?? [],
          checked(),
          runner(),
          hasReplicas(nodes.list) ? compared() : undefined,
        ]);
      const pendingLate = waitingStatus(late);
      const unrecorded = partitionsOf(progress) || (ends?.size ?? 0);
      reply.header('cache-control', 'no-cache');
      return {
        ...statusOf(progress, ends, rowsChecked, off, stalled, now()),
        hot_ads: known ? hotAdsOf(known, unrecorded, now()) : null,
        pending_late: pendingLate,
        pending_split: splitStatus(split),
        late: pendingLate,
        nodes: nodesStatus(nodes, positions),
        replicas: hasReplicas(nodes.list) ? replicasStatus(replicasChecked) : null,
        job_runner: runnerStatus(active, now()),
        quarantine: Object.fromEntries(reasons.map(({ reason, lines }) => [reason, lines])),
      };
    },
  );
}

const PendingLate = Type.Object(
  {
    clicks: countField('Clicks that came too late and wait for their restatement, including copies.'),
    minutes: countField('The number of minutes to which they belong.'),
    since: timeOrNullField('When the click came that has waited longest. Null: none waits.'),
  },
  { additionalProperties: false, description: 'As `pending_late` of answers about ads, for all ads and minutes.' },
);

const PendingSplit = Type.Object(
  {
    clicks: countField('The most net clicks of split ads that may turn out to be invalid.'),
    minutes: countField('The number of final minutes to which they belong, which wait for their restatement.'),
    since: timeOrNullField('The minute that has waited longest. Null: none waits.'),
  },
  { additionalProperties: false, description: 'As `pending_split` of answers about ads, for all ads and minutes.' },
);

const lineFields = {
  received: countField('Lines since the beginning of the log.'),
  counted: countField('Distinct clicks among them.'),
  duplicates: countField('Further copies of counted clicks.'),
  quarantined: countField('Lines that were quarantined with a reason.'),
  gross: countField('All clicks with their copies: duplicates + invalid + net.'),
  invalid: countField('Clicks among `counted` that a rule of invalid traffic leaves out of `net`, as counted live.'),
  net: Type.Integer({ description: 'counted - invalid, which are the clicks to bill.' }),
  acknowledged: countField(
    'Lines that the brokers acknowledged to ingest, and ingest to clients with 202. Later records of the log say so.',
  ),
  unacknowledged: Type.Integer({
    description:
      'received - (acknowledged - missing). These are lines of the last second, lines of other producers, lines whose acknowledgement did not reach ingest, and lines from before acknowledgements were recorded.',
  }),
  missing: countField('Acknowledged lines that are not in the log. These are lost clicks.'),
  written_off: countField('How many of the missing lines a person has written off.'),
};

const PartitionStatus = Type.Object(
  {
    partition: Type.Integer(),
    position: countField('Offset of the next record to count.'),
    end_offset: integerOrNullField('The end of the log. Null: Kafka did not answer.'),
    lag_records: integerOrNullField('Records that are not counted yet. Null: Kafka did not answer.'),
    watermark: timeOrNullField('No older click is expected. Null: not known yet.'),
    watermark_age_ms: integerOrNullField('Now minus the watermark. Null: there is no watermark yet.'),
    appended_at: timeOrNullField('When the broker appended the last counted record. Null: none is counted yet.'),
    final_until: timeOrNullField('Minutes that end at or before this are final. Null: none is.'),
    stalled_since: timeOrNullField(
      'The time of the last counted record, if the partition is no longer being counted because its aggregator has stopped or cannot continue. Null: it is being counted, or nothing of it was ever counted.',
    ),
    ...lineFields,
    balance: Type.Integer({ description: 'received - counted - duplicates - quarantined, which is always 0.' }),
  },
  { additionalProperties: false },
);

const HotAd = Type.Object(
  {
    ad_id: Type.String(),
    from: timeField('The first minute of event time in which the ad is split.'),
    until: timeField('The first minute in which it is no longer split. It moves forward while the ad stays hot.'),
    partitions: countField('The number of partitions over which its clicks are spread.'),
  },
  { additionalProperties: false },
);

const RowsStatus = Type.Object(
  {
    checked_at: timeOrNullField(
      'When all partitions were last compared. Null: not all of them have been compared yet.',
    ),
    difference: countField(
      'Lines that differ, over all partitions. It is 0 as long as every line is there exactly once.',
    ),
    differences: Type.Array(
      Type.Object(
        {
          partition: Type.Integer(),
          outcome: Type.Enum(['received', 'counted', 'duplicates', 'quarantined', 'invalid'], { type: 'string' }),
          expected: countField('Lines as the counters say.'),
          found: Type.Integer({ description: 'Lines as the rows say.' }),
          difference: Type.Integer({ description: 'found - expected.' }),
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
    'For each partition of the log: its position, its lag in records and in event time, and the sums acknowledged - missing + unacknowledged = received = counted + duplicates + quarantined, and gross = duplicates + invalid + net. The rows in ClickHouse must have the same sums, which the job runner checks.',
  querystring: Type.Object({}, { additionalProperties: false }),
  response: {
    200: Type.Object(
      {
        watermark: timeOrNullField(
          'The lowest watermark of all partitions. Null: some partition has not reported yet.',
        ),
        watermark_age_ms: integerOrNullField('Now minus the watermark. Null: there is no watermark yet.'),
        final_until: timeOrNullField('Minutes that end at or before this are final in every partition. Null: none is.'),
        partitions: Type.Array(PartitionStatus),
        conservation: Type.Object(
          {
            ...lineFields,
            unread_records: integerOrNullField(
              'Records of the log that are not counted yet. Null: Kafka did not answer.',
            ),
            balanced: Type.Boolean({
              description:
                'True if in each partition acknowledged - missing + unacknowledged = received = counted + duplicates + quarantined and gross = duplicates + invalid + net, if all missing lines are written off, and if no accepted click is `uncounted`.',
            }),
            uncounted: integerOrNullField(
              'Accepted clicks that came too late more than 15 minutes ago, and are in raw but in no count. It is 0 as long as restatements are made. Null: the job runner has not looked yet.',
            ),
            rows: Type.Union([RowsStatus, Type.Null()], {
              description:
                'The same for the rows in ClickHouse, as the job runner found at its last comparison. Null: it has not compared them yet.',
            }),
          },
          { additionalProperties: false },
        ),
        hot_ads: Type.Union([Type.Array(HotAd), Type.Null()], {
          description: 'Ads whose clicks are split over partitions now or later. Null: Kafka did not answer.',
        }),
        pending_late: PendingLate,
        pending_split: PendingSplit,
        late: Type.Object(PendingLate.properties, {
          additionalProperties: false,
          deprecated: true,
          description:
            'Deprecated: the same as `pending_late`. Everywhere else `late` counts clicks that came after their minute had closed and are counted.',
        }),
        nodes: Type.Array(NodeStatus, { description: 'The ClickHouse nodes. Each has all rows of its shard.' }),
        replicas: Type.Union([ReplicasStatus, Type.Null()], {
          description:
            'Whether the nodes of a shard are equal, as the job runner has found. Null: each shard has only one node.',
        }),
        job_runner: Type.Union(
          [
            Type.Object(
              {
                host: Type.String({ description: 'Host and port of the process.' }),
                since: timeField('Since when it has been active.'),
                seen_at: timeField('When it last reported that it is.'),
                runs: Type.Boolean({ description: 'False: it has been silent for too long, so nobody runs jobs.' }),
              },
              { additionalProperties: false },
            ),
            Type.Null(),
          ],
          {
            description:
              'The active job runner, which makes restatements, replays and reconciliations. Null: there has been none yet. When it ends, another job runner takes over within ten seconds, if one is running.',
          },
        ),
        quarantine: Type.Record(Type.String(), Type.Integer({ minimum: 0 }), {
          description: 'Lines in quarantine that are still kept, by reason.',
        }),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;
