/** Says how an API key is shown: never with a secret, and never with a hash of one. */
import { Type } from 'typebox';
import { type Key, stateOf } from '../../../infra/keys/key-book.ts';
import type { KeyChange } from '../../../infra/keys/key-record.ts';
import { scopeNames } from '../../../infra/keys/scopes.ts';
import { isoOf, timeField } from '../../http/parameters.ts';

const orNull = (description: string) => Type.Union([timeField(description), Type.Null()]);

const keyFields = {
  id: Type.String({ description: 'is a part of the key itself, and is not secret' }),
  label: Type.String(),
  scopes: Type.Array(Type.String(), { description: `of ${scopeNames.join(', ')}` }),
  ad_id_prefix: Type.Union([Type.String(), Type.Null()], {
    description: 'the key may post only clicks of ads whose id begins with this text; null: of any ad',
  }),
  origins: Type.Union([Type.Array(Type.String()), Type.Null()], {
    description: 'the pages from which a public key may be used; null: it is no public key',
  }),
  state: Type.Enum(['usable', 'expired', 'revoked'], { type: 'string' }),
  expires_at: orNull('null: valid until it is revoked'),
  previous_until: orNull('until when the secret before the last rotation is valid too; null: there is none'),
  changes: Type.Array(
    Type.Object(
      {
        change: Type.Enum(['created', 'rotated', 'revoked'], { type: 'string' }),
        at: timeField('when'),
        by: Type.String({ description: 'the id of the key with which it was done, or `operator at the broker`' }),
        from: Type.Union([Type.String(), Type.Null()], {
          description: 'the address of the client (of IPv6: a /64); null: done at the broker',
        }),
      },
      { additionalProperties: false },
    ),
    { description: 'when the key was made, last rotated, and revoked. Topic `keys` has all changes' },
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
  const { id, created, rotated, revoked, secrets } = key;
  const until = secrets[1]?.until ?? 0;
  return {
    id,
    label: created.label,
    scopes: created.scopes,
    ad_id_prefix: created.ad_id_prefix ?? null,
    origins: created.origins ?? null,
    state: stateOf(key, now),
    expires_at: created.expires_at === undefined ? null : isoOf(created.expires_at),
    previous_until: until > now ? isoOf(until) : null,
    changes: [created, rotated, revoked].filter(change => change !== undefined).map(shownChange),
  };
}

function shownChange({ kind, at, by, from }: KeyChange) {
  return { change: kind, at: isoOf(at), by, from: from ?? null };
}
