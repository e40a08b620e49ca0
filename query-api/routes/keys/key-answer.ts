/** Says how an API key is shown: never with a secret, and never with a hash of one. */
import { Type } from 'typebox';
import { explained } from '../../../infra/broken-rule.ts';
import { type Key, stateOf } from '../../../infra/keys/key-book.ts';
import type { KeyChange } from '../../../infra/keys/key-record.ts';
import { regionPattern, regionRule } from '../../../infra/keys/region.ts';
import { scopeNames } from '../../../infra/keys/scopes.ts';
import { adIdPrefixPattern, mostPrefixes, tenantIdPattern } from '../../../infra/keys/tenant.ts';
import { OwnQuotasSchema } from '../../../infra/quotas/quotas.ts';
import { isoOf, timeField } from '../../http/parameters.ts';

const orNull = (description: string) => Type.Union([timeField(description), Type.Null()]);

export const TenantFields = Type.Object(
  {
    id: Type.String({
      pattern: explained(tenantIdPattern, '1 to 64 of A-Z a-z 0-9 . _ -, and begin with a letter or a digit').source,
      description: 'names whose ads these are',
    }),
    ad_id_prefixes: Type.Array(
      Type.String({ pattern: explained(adIdPrefixPattern, '1 to 128 of A-Z a-z 0-9 . _ : -').source }),
      {
        minItems: 1,
        maxItems: mostPrefixes,
        uniqueItems: true,
        description: 'an ad belongs to the tenant if its id begins with one of these texts',
      },
    ),
  },
  { additionalProperties: false },
);

/** As a key is asked for. */
export const RegionField = Type.String({
  pattern: explained(regionPattern, regionRule.replace('must be ', '')).source,
  description:
    'the key is good only where processes are in this region (`REGION`); everywhere else it is refused (403 `wrong_region`)',
  examples: ['eu'],
});

const keyFields = {
  id: Type.String({ description: 'is a part of the key itself, and is not secret' }),
  label: Type.String(),
  scopes: Type.Array(Type.String(), { description: `of ${scopeNames.join(', ')}` }),
  ad_id_prefix: Type.Union([Type.String(), Type.Null()], {
    description: 'the key may post only clicks of ads whose id begins with this text; null: of any ad',
  }),
  quotas: Type.Object(OwnQuotasSchema.properties, {
    additionalProperties: false,
    description: 'quotas that the key has of its own; all others are those of the settings (`KEY_…`)',
  }),
  tenant: Type.Union([TenantFields, Type.Null()], {
    description:
      'the key is for the ads of this tenant alone: to post their clicks, and to see them; null: for all ads',
  }),
  origins: Type.Union([Type.Array(Type.String()), Type.Null()], {
    description: 'the pages from which a public key may be used; null: it is no public key',
  }),
  region: Type.Union([Type.String(), Type.Null()], {
    description: 'the only region in which the key is good; null: it is good in all',
  }),
  state: Type.Enum(['usable', 'expired', 'revoked'], { type: 'string' }),
  expires_at: orNull('null: valid until it is revoked'),
  previous_until: orNull('until when the secret before the last rotation is valid too; null: there is none'),
  changes: Type.Array(
    Type.Object(
      {
        change: Type.Enum(['created', 'rotated', 'limited', 'revoked'], { type: 'string' }),
        at: timeField('when'),
        by: Type.String({ description: 'the id of the key with which it was done, or `operator at the broker`' }),
        from: Type.Union([Type.String(), Type.Null()], {
          description: 'the address of the client (of IPv6: a /64); null: done at the broker',
        }),
      },
      { additionalProperties: false },
    ),
    {
      description:
        'when the key was made, last rotated, last given other quotas (`limited`), and revoked. Topic `keys` has all changes',
    },
  ),
};

export const KeySchema = Type.Object(keyFields, { additionalProperties: false });

export const ShownOnceSchema = Type.Object(
  {
    ...keyFields,
    api_key: Type.String({
      description:
        'the key, to be sent as `Authorization: Bearer …`. It is shown only here: nothing has it but who keeps it',
    }),
  },
  { additionalProperties: false },
);

export function shownKey(key: Key, now: number) {
  const { id, created, rotated, limited, revoked, secrets, quotas } = key;
  const until = secrets[1]?.until ?? 0;
  return {
    id,
    label: created.label,
    scopes: created.scopes,
    ad_id_prefix: created.ad_id_prefix ?? null,
    quotas,
    tenant: created.tenant ?? null,
    origins: created.origins ?? null,
    region: created.region ?? null,
    state: stateOf(key, now),
    expires_at: created.expires_at === undefined ? null : isoOf(created.expires_at),
    previous_until: until > now ? isoOf(until) : null,
    changes: [created, rotated, limited, revoked].filter(change => change !== undefined).map(shownChange),
  };
}

function shownChange({ kind, at, by, from }: KeyChange) {
  return { change: kind, at: isoOf(at), by, from: from ?? null };
}
