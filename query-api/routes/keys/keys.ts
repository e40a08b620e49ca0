/**
 * GET and POST /v1/keys, POST /v1/keys/{id}/rotate, PUT /v1/keys/{id}/quotas, DELETE /v1/keys/{id}: manages API keys, with a
 * key of scope admin.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { explained } from '../../../infra/broken-rule.ts';
import { type Http, ProblemSchema } from '../../../infra/http.ts';
import type { Clients } from '../../../infra/http-clients.ts';
import type { Key, KeyBook } from '../../../infra/keys/key-book.ts';
import { keyIdPattern } from '../../../infra/keys/key-text.ts';
import { type Doer, maxLabelLength } from '../../../infra/keys/new-key.ts';
import { maxOrigins, originRule } from '../../../infra/keys/origins.ts';
import { scopeNames, scopes } from '../../../infra/keys/scopes.ts';
import { adIdPrefixPattern } from '../../../infra/keys/tenant.ts';
import { OwnQuotasSchema } from '../../../infra/quotas/quotas.ts';
import { anyMomentOf } from '../../http/asked-range.ts';
import { cursorParameter, cursorsOf, nextCursorField, pageOf } from '../../http/cursor.ts';
import { exactTypes } from '../../http/exact-types.ts';
import { problems } from '../../http/parameters.ts';
import { KeySchema, RegionField, ShownOnceSchema, shownKey, TenantFields } from './key-answer.ts';
import { createKeyChanges, type KeyChangesDeps } from './key-changes.ts';

export interface KeyRoutesDeps {
  readonly keyBook: Pick<KeyBook, 'get' | 'list' | 'size' | 'ids' | 'fateOf'>;
  readonly readKeysToEnd: KeyChangesDeps['readToEnd'];
  readonly appendKeyChange: KeyChangesDeps['append'];
  readonly clients: Pick<Clients, 'of'>;
  /** Epoch ms. */
  readonly now: () => number;
}

/** The last key of a page: when it was made, and its id. */
const cursors = cursorsOf(
  'keys',
  Type.Tuple([Type.Integer({ minimum: 0 }), Type.String({ pattern: keyIdPattern.source })]),
);

export function routeKeys(http: Http, deps: KeyRoutesDeps): void {
  const { keyBook, readKeysToEnd: readToEnd, appendKeyChange: append, clients, now } = deps;
  const changes = createKeyChanges({ book: keyBook, readToEnd, append, now });
  const doerOf = ({ apiKey, raw }: FastifyRequest): Doer => ({ by: apiKey?.id ?? '', from: clients.of(raw).network });
  const common = { config: { scope: 'admin' }, onRequest: forbidKeeping } as const;

  http.get('/v1/keys', { schema: listSchema, ...common }, async request => {
    const { limit = 50, cursor } = request.query;
    const after = cursors.read(cursor, {}, undefined);
    const rest = after === undefined ? keyBook.list() : keyBook.list().filter(key => isBehind(key, after));
    const page = pageOf(rest.slice(0, limit + 1), limit, last =>
      cursors.write([last.created.at, last.id], {}, undefined),
    );
    return { keys: page.rows.map(key => shownKey(key, now())), next_cursor: page.next_cursor };
  });

  http.post(
    '/v1/keys',
    { schema: createSchema, ...common, preValidation: exactTypes(createSchema.body) },
    async request => {
      const { label, scopes: wanted, expires_at, ad_id_prefix, tenant: owner, origins, quotas, region } = request.body;
      const expiresAt = anyMomentOf('expires_at', expires_at);
      const tenant = owner && { id: owner.id, adIdPrefixes: owner.ad_id_prefixes };
      const asked = { label, scopes: wanted, adIdPrefix: ad_id_prefix, expiresAt, tenant, origins, quotas, region };
      const { key, text } = await changes.create(asked, doerOf(request));
      return { ...shownKey(key, now()), api_key: text };
    },
  );

  http.post(
    '/v1/keys/:id/rotate',
    { schema: rotateSchema, ...common, preValidation: exactTypes(rotateSchema.body) },
    async request => {
      const { overlap_s = 3_600 } = request.body;
      const { key, text } = await changes.rotate(request.params.id, overlap_s * 1_000, doerOf(request));
      return { ...shownKey(key, now()), api_key: text };
    },
  );

  http.put(
    '/v1/keys/:id/quotas',
    { schema: quotasSchema, ...common, preValidation: exactTypes(quotasSchema.body) },
    async request => shownKey(await changes.limit(request.params.id, request.body, doerOf(request)), now()),
  );

  http.delete('/v1/keys/:id', { schema: revokeSchema, ...common }, async request =>
    shownKey(await changes.revoke(request.params.id, doerOf(request)), now()),
  );
}

/** Neither a browser nor a proxy may keep what is shown once. */
async function forbidKeeping(_request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.header('cache-control', 'no-store');
}

/** In the order of the list. */
function isBehind({ id, created }: Key, [at, last]: readonly [number, string]): boolean {
  return created.at < at || (created.at === at && id > last);
}

const IdParams = Type.Object({
  id: Type.String({
    pattern: explained(keyIdPattern, '16 letters and digits').source,
    description: 'of the key, as it stands in the key itself between the two `_`',
  }),
});

const writes = { ...problems, 404: ProblemSchema, 409: ProblemSchema };

const listSchema = {
  tags: ['keys'],
  operationId: 'listKeys',
  summary: 'API keys, the newest first, without their secrets',
  description: 'Keys that have expired or were revoked stay in the list for ever.',
  querystring: Type.Object(
    {
      limit: Type.Optional(Type.Integer({ default: 50, minimum: 1, maximum: 200, description: 'keys of a page' })),
      cursor: cursorParameter,
    },
    { additionalProperties: false },
  ),
  response: {
    200: Type.Object({ keys: Type.Array(KeySchema), next_cursor: nextCursorField }, { additionalProperties: false }),
    ...problems,
  },
} as const;

const QuotasBody = Type.Object(OwnQuotasSchema.properties, {
  additionalProperties: false,
  description: 'quotas of this key; for those that are left out, the settings of the processes hold',
});

const createSchema = {
  tags: ['keys'],
  operationId: 'createKey',
  summary: 'Make an API key: the answer is the only place where it is shown',
  description:
    'The key is valid in every process within two seconds. After an answer of 503 the key may exist although nobody has it. GET /v1/keys shows whether it does, and DELETE revokes it.',
  body: Type.Object(
    {
      label: Type.String({ minLength: 1, maxLength: maxLabelLength, description: 'what it is for, and who has it' }),
      scopes: Type.Array(Type.Enum([...scopeNames], { type: 'string' }), {
        minItems: 1,
        uniqueItems: true,
        description: Object.entries(scopes)
          .map(([name, lets]) => `\`${name}\`: ${lets}`)
          .join('; '),
      }),
      expires_at: Type.Optional(
        Type.String({
          description: 'until when it is valid: RFC 3339 with zone, or epoch milliseconds; none: until it is revoked',
          examples: ['2031-01-01T00:00:00Z'],
        }),
      ),
      ad_id_prefix: Type.Optional(
        Type.String({
          pattern: explained(adIdPrefixPattern, '1 to 128 of A-Z a-z 0-9 . _ : -').source,
          description:
            'only with scope `ingest`, or with `ingest:public`, which needs it: the key may post only clicks of ads whose id begins with this text',
        }),
      ),
      origins: Type.Optional(
        Type.Array(Type.String(), {
          minItems: 1,
          maxItems: maxOrigins,
          description: `with scope \`ingest:public\`, which needs them: the pages from which the key may be used. They ${originRule}`,
        }),
      ),
      quotas: Type.Optional(QuotasBody),
      region: Type.Optional(RegionField),
      tenant: Type.Optional({
        ...TenantFields,
        description:
          'only with scopes `ingest`, `read` and `read:personal`: the key may post only clicks of ads of this tenant, and everything that is asked with it is answered as if there were no other ads. No ad may belong to two tenants: a key is refused (400), also if another one is made in the same moment (409 `ads_taken`)',
        examples: [{ id: 'acme', ad_id_prefixes: ['acme-'] }],
      }),
    },
    { additionalProperties: false },
  ),
  response: { 200: ShownOnceSchema, ...problems, 409: ProblemSchema },
} as const;

const rotateSchema = {
  tags: ['keys'],
  operationId: 'rotateKey',
  summary: 'Give a key another secret; the present one stays valid for a while',
  description:
    'At most two secrets of a key are valid. While the previous one is still valid, the key can be rotated again only with `overlap_s` 0, which ends all former secrets at once. Do this when a key has leaked. If somebody else rotates the key in the same moment, one of the two gets 409 (`rotated_meanwhile`) and no secret.',
  params: IdParams,
  body: Type.Object(
    {
      overlap_s: Type.Optional(
        Type.Integer({
          default: 3_600,
          minimum: 0,
          maximum: 30 * 86_400,
          description: 'seconds for which the secret that is valid now stays so',
        }),
      ),
    },
    { additionalProperties: false },
  ),
  response: { 200: ShownOnceSchema, ...writes },
} as const;

const quotasSchema = {
  tags: ['keys'],
  operationId: 'setKeyQuotas',
  summary: 'Give a key quotas of its own, in place of those that it has',
  description:
    'Replaces all quotas of the key: one that is left out is that of the settings again, and `{}` takes all of them back. Every process holds to them within two seconds.',
  params: IdParams,
  body: QuotasBody,
  response: { 200: KeySchema, ...writes },
} as const;

const revokeSchema = {
  tags: ['keys'],
  operationId: 'revokeKey',
  summary: 'Revoke a key for good; the answer is the key as it is now',
  description:
    'Within two seconds no process accepts the key any more. Sending the same request again changes nothing.',
  params: IdParams,
  response: { 200: KeySchema, ...problems, 404: ProblemSchema },
} as const;
