/** GET and POST /v1/partitions: over how many partitions clicks are spread, from when on, and more of them. */
import { Type } from 'typebox';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import { GrowthRefused } from '../../../ingest/hot-ads/grow-partitions.ts';
import { mostPartitions, type PartitionRule, partitionsAt } from '../../../ingest/hot-ads/partition-rule.ts';
import { countField, isoOf, problems, timeField } from '../../http/parameters.ts';
import type { Partitions as ClickPartitions, PartitionsNow } from '../../log/partitions.ts';

export interface PartitionRoutesDeps {
  readonly partitions: ClickPartitions;
  /** Epoch ms. */
  readonly now: () => number;
}

export function routePartitions(http: Http, { partitions, now }: PartitionRoutesDeps): void {
  http.get('/v1/partitions', { schema: getSchema, config: { scope: 'read' } }, async (_request, reply) => {
    reply.header('cache-control', 'no-cache');
    return shown(await available(partitions.read()), now());
  });

  http.post('/v1/partitions', { schema: growSchema, config: { scope: 'operate' } }, async request => {
    await available(partitions.grow(request.body.partitions));
    return shown(await available(partitions.read()), now());
  });
}

async function available<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof GrowthRefused) throw new Problem(409, 'growth_refused', error.message);
    const detail = error instanceof Error ? error.message : String(error);
    throw new Problem(503, 'unavailable', `the topics cannot be asked at the moment: ${detail}`, {}, 2);
  }
}

function shown({ topics, rules, difference }: PartitionsNow, now: number) {
  return {
    now: rules.length === 0 ? null : partitionsAt(rules, now),
    recorded: stepsOf(rules).map(({ from, partitions }) => ({ from: from === 0 ? null : isoOf(from), partitions })),
    topics: [...topics],
    difference,
  };
}

/** Those that change something, in the order of their minutes. */
function stepsOf(rules: readonly PartitionRule[]): PartitionRule[] {
  let most = 0;
  return rules
    .toSorted((a, b) => a.from - b.from || b.partitions - a.partitions)
    .filter(({ partitions }) => {
      if (partitions <= most) return false;
      most = partitions;
      return true;
    });
}

const Partitions = Type.Object(
  {
    now: Type.Union([Type.Integer(), Type.Null()], {
      description: 'over how many the clicks of the running minute are spread; null: nothing is recorded yet',
    }),
    recorded: Type.Array(
      Type.Object(
        {
          from: Type.Union([timeField('the first minute of event time'), Type.Null()], {
            description: 'null: from the beginning on',
          }),
          partitions: countField('over which clicks of that minute and later ones are spread'),
        },
        { additionalProperties: false },
      ),
      { description: 'the last may be of a minute to come' },
    ),
    topics: Type.Array(
      Type.Object(
        { topic: Type.String(), partitions: countField('that it has, as the brokers say') },
        { additionalProperties: false },
      ),
    ),
    difference: Type.Union([Type.String(), Type.Null()], {
      description: 'which topics have fewer or more than is recorded, and what to do; null: they agree',
    }),
  },
  { additionalProperties: false },
);

const getSchema = {
  tags: ['pipeline'],
  operationId: 'getPartitions',
  summary: 'Over how many partitions clicks are spread, as recorded and as the topics have them',
  description:
    'What is recorded holds: from which minute of event time on, how many. Topics may have more, as while they grow; where one has fewer, no click is taken.',
  querystring: Type.Object({}, { additionalProperties: false }),
  response: { 200: Partitions, ...problems },
} as const;

const growSchema = {
  tags: ['pipeline'],
  operationId: 'growPartitions',
  summary: 'Spread clicks over more partitions, from a minute to come on',
  description:
    'Gives the topics more partitions and announces them; answers when that is done, with the minute of event time from which they are used. They never become fewer again. Asked again for the same number, it finishes what was left undone, or changes nothing.',
  body: Type.Object(
    {
      partitions: Type.Integer({
        minimum: 1,
        maximum: mostPartitions,
        description: 'of each of the topics; at least as many as are recorded',
      }),
    },
    { additionalProperties: false },
  ),
  response: { 200: Partitions, ...problems, 409: ProblemSchema },
} as const;
