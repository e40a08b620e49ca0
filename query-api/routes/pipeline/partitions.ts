/** GET and POST /v1/partitions: shows over how many partitions clicks are spread, and adds partitions. */
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
  http.get(
    '/v1/partitions',
    {
      schema: getSchema,
      config: { scope: 'read', tenants: { refused: 'it is about the pipeline, and not about ads' } },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-cache');
      return shown(await available(partitions.read()), now());
    },
  );

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
    throw new Problem(
      503,
      'unavailable',
      `Kafka cannot answer about the topics at the moment (${detail}): try again`,
      {},
      2,
    );
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

/** Returns the rules that change the number, in the order of their minutes. */
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
      description: 'The number of partitions for clicks of the current minute. Null: nothing is recorded yet.',
    }),
    recorded: Type.Array(
      Type.Object(
        {
          from: Type.Union([timeField('The first minute of event time.'), Type.Null()], {
            description: 'The first minute of event time with this number. Null: from the beginning.',
          }),
          partitions: countField('The number of partitions for clicks of this minute and of later minutes.'),
        },
        { additionalProperties: false },
      ),
      { description: 'The recorded numbers. The last one may begin in a future minute.' },
    ),
    topics: Type.Array(
      Type.Object(
        { topic: Type.String(), partitions: countField('The number of its partitions, as the brokers say.') },
        { additionalProperties: false },
      ),
    ),
    difference: Type.Union([Type.String(), Type.Null()], {
      description:
        'Which topics have fewer or more partitions than recorded, and what to do. Null: all topics have the recorded number.',
    }),
  },
  { additionalProperties: false },
);

const getSchema = {
  tags: ['pipeline'],
  operationId: 'getPartitions',
  summary: 'Over how many partitions clicks are spread, as recorded and in the topics',
  description:
    'The recorded numbers are valid: each says how many partitions are used from which minute of event time. A topic may have more partitions, for example while they are added. If a topic has fewer, no clicks are accepted.',
  querystring: Type.Object({}, { additionalProperties: false }),
  response: { 200: Partitions, ...problems },
} as const;

const growSchema = {
  tags: ['pipeline'],
  operationId: 'growPartitions',
  summary: 'Spread clicks over more partitions, beginning with a future minute',
  description:
    'Adds partitions to the topics and records their new number. It answers when that is done, with the minute of event time from which they are used. The number can never be reduced. The same request again finishes what was interrupted, or changes nothing.',
  body: Type.Object(
    {
      partitions: Type.Integer({
        minimum: 1,
        maximum: mostPartitions,
        description: 'The number of partitions of each topic. It must not be less than the recorded number.',
      }),
    },
    { additionalProperties: false },
  ),
  response: { 200: Partitions, ...problems, 409: ProblemSchema },
} as const;
