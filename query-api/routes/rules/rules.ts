/** GET and POST /v1/rules: the versions of the rules by which clicks are invalid, and how to announce one. */
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { withoutKey } from '../../../infra/audit/audit-record.ts';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import { tenantOf } from '../../../infra/keys/tenant.ts';
import { invalid } from '../../../infra/problem.ts';
import { RulesRefused } from '../../../ingest/hot-ads/announce-rules.ts';
import { longestNote, type RulesVersion, ValidityRulesSchema } from '../../../ingest/validity/rule-set.ts';
import { recommendedRules } from '../../../ingest/validity/rules.ts';
import { wholeMinuteOf } from '../../http/asked-range.ts';
import { exactTypes } from '../../http/exact-types.ts';
import { inTurn } from '../../http/in-turn.ts';
import { countField, isoOf, problems, timeField } from '../../http/parameters.ts';
import type { RulesNow, ValidityRulesLog } from '../../log/validity-rules.ts';
import { minuteMs } from '../../time/time-range.ts';

export interface RulesRoutesDeps {
  readonly validityRules: ValidityRulesLog;
  /** Epoch ms. */
  readonly now: () => number;
}

export function routeRules(http: Http, { validityRules, now }: RulesRoutesDeps): void {
  // Each is refused by the number of those before it. So several processes exceed the limit by one each, at most.
  const turns = inTurn('announcements of rules');
  // The rules are the same for the ads of all tenants. A tenant is billed by them, so its keys may read them.
  http.get(
    '/v1/rules',
    { schema: listSchema, config: { scope: 'read', tenants: 'limited' } },
    async (request, reply) => {
      const { limit = 100 } = request.query;
      const known = await available(validityRules.read());
      reply.header('cache-control', 'no-cache');
      return {
        in_force: known.at(minuteOf(now())).version,
        soonest_from: isoOf(known.soonestFrom(now())),
        recommended: recommendedRules,
        total: known.versions.length,
        versions: known.versions
          .slice(-limit)
          .reverse()
          .map(version => shown(version, known, now(), request)),
      };
    },
  );

  const announcing = {
    schema: announceSchema,
    config: { scope: 'operate' },
    // Only the rules: a whole text of digits is a time, too.
    preValidation: exactTypes(Type.Object({ rules: ValidityRulesSchema })),
  } as const;
  http.post('/v1/rules', announcing, async (request, reply) => {
    const { rules, from: askedFrom, note } = request.body;
    const from = askedFrom === undefined ? null : wholeMinuteOf('from', String(askedFrom));
    const known = await available(validityRules.read());
    const soonest = known.soonestFrom(now()) + minuteMs;
    if (from !== null && from < soonest)
      throw invalid(
        'from',
        askedFrom,
        `must be ${isoOf(soonest)} or later`,
        'every process must know the rules before the first click of their minute comes',
      );
    const by = request.apiKey?.id ?? withoutKey;
    const version = await turns(() => available(validityRules.announce({ rules, from, note, by })));
    reply.code(201);
    return shown(version, await available(validityRules.read()), now(), request);
  });
}

async function available<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof RulesRefused) throw new Problem(409, 'rules_refused', error.message);
    const detail = error instanceof Error ? error.message : String(error);
    throw new Problem(503, 'unavailable', `topic hot-ads cannot be read or written at the moment (${detail})`, {}, 2);
  }
}

function minuteOf(time: number): number {
  return time - (time % minuteMs);
}

function shown(version: RulesVersion, known: RulesNow, now: number, request: FastifyRequest) {
  const { from, rules, note, by, announcedAt } = version;
  const isTenant = request.apiKey !== undefined && tenantOf(request.apiKey) !== undefined;
  return {
    version: version.version,
    state: stateOf(version, known, now),
    from: from === null ? null : isoOf(from),
    rules,
    note,
    announced_at: isoOf(announcedAt),
    announced_by: isTenant ? null : by,
  };
}

function stateOf({ version, from, holds }: RulesVersion, { at, versions }: RulesNow, now: number): RulesState {
  if (from === null) return 'draft';
  if (!holds) return 'too_late';
  if (from > now) {
    const isReplaced = versions.some(other => other.holds && other.from === from && other.version > version);
    return isReplaced ? 'replaced' : 'announced';
  }
  return at(minuteOf(now)).version === version ? 'in_force' : 'replaced';
}

const states = ['draft', 'too_late', 'announced', 'in_force', 'replaced'] as const;
type RulesState = (typeof states)[number];

const Version = Type.Object(
  {
    version: countField('The number of the version, which rows of counts and restatements name.'),
    state: Type.Enum([...states], {
      type: 'string',
      description:
        '`announced`: it holds from a minute to come on. `in_force`: the present minute is judged by it. `replaced`: a later version holds now, or holds instead. `draft`: it has no minute, and only replays use it. `too_late`: it came too late for its minute, so only replays use it.',
    }),
    from: Type.Union([timeField('The first minute of event time.'), Type.Null()], {
      description: 'The first minute of event time that is judged by it. Null: a draft.',
    }),
    rules: ValidityRulesSchema,
    note: Type.String({ description: 'Why it was announced.' }),
    announced_at: timeField('When it was announced, by the clock of the broker.'),
    announced_by: Type.Union([Type.String(), Type.Null()], {
      description: 'The id of the API key with which it was announced. Null for keys of tenants.',
    }),
  },
  { additionalProperties: false },
);

const listSchema = {
  tags: ['rules'],
  operationId: 'listRules',
  summary: 'The versions of the rules by which clicks are invalid, the newest first',
  description:
    'Each minute is judged by the version that holds in it, so the same clicks give the same counts whenever they are counted. Minutes before the first version have version 0: every click is valid. `recommended` is what is proposed to whoever begins with rules.',
  querystring: Type.Object(
    {
      limit: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 1_000, default: 100, description: 'The most versions to list.' }),
      ),
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object(
      {
        in_force: countField('The version by which the present minute is judged. 0: none.'),
        soonest_from: timeField('Rules that are announced now may hold from about this minute on.'),
        recommended: ValidityRulesSchema,
        total: countField('The number of versions, also of those that are not listed.'),
        versions: Type.Array(Version),
      },
      { additionalProperties: false },
    ),
    ...problems,
  },
} as const;

const announceSchema = {
  tags: ['rules'],
  operationId: 'announceRules',
  summary: 'Announce a version of the rules by which clicks are invalid',
  description:
    'With `from`, the version holds from that minute of event time on, until the minute of another one. Clicks of earlier minutes are not concerned, whenever they come. Without `from` it is a draft, by which a replay can judge. A version cannot be changed or taken back. Another one for the same minute replaces it. Announce none before all processes are of a release that knows rules.',
  body: Type.Object(
    {
      rules: ValidityRulesSchema,
      from: Type.Optional(
        Type.Union([Type.String(), Type.Integer({ minimum: 0 })], {
          description:
            'The first minute: a whole minute, as RFC 3339 with a zone or as epoch milliseconds. Left out: a draft.',
          examples: ['2026-01-01T00:00:00Z'],
        }),
      ),
      note: Type.String({ minLength: 1, maxLength: longestNote, description: 'Why, for whoever looks at it later.' }),
    },
    { additionalProperties: false },
  ),
  response: { 201: Version, ...problems, 409: ProblemSchema },
} as const;
