/**
 * CONTRACT: defines the records of topic `keys`, which say what API keys there are.
 *
 * A record is a change of a key and never its state, because several processes write here, and of two states the later
 * one would undo the other: a rotation that was decided before a revocation would bring the key back. Each change has a
 * record key of its own, so compaction removes none, and the topic is also the record of who changed what. A key is
 * what all of its changes make of it together (key-book.ts), in whatever order and however often they are read. So a
 * topic that is copied, restored or replayed does not make a revoked key valid again. The order decides only between
 * changes that cannot both hold, because several processes have written them at once: the later one is void.
 *
 * | record | format | key | value |
 * | --- | --- | --- | --- |
 * | created | 1 | `<id>` | `{"id","label","scopes","ad_id_prefix"?,"expires_at"?,"secret_sha256","session_key"?,"at","by","from"?}` |
 * | created with further limits | 2 | `<id>` | the same with `"quotas"?`, with `"origins"?` of a public key, and with `"tenant"?:{"id","ad_id_prefixes"}` in place of `"ad_id_prefix"` |
 * | created for one region | 3 | `<id>` | the same with `"region"` |
 * | rotated: another secret | 1 | `<id>\|<change>` | `{"id","change","replaces"?,"secret_sha256","session_key"?,"previous_until","void"?,"at","by","from"?}` |
 * | limited: other quotas | 1 | `<id>\|<change>` | `{"id","change","quotas","at","by","from"?}` |
 * | revoked: for good | 1 | `<id>\|<change>` | `{"id","change"?,"void"?,"at","by","from"?}` |
 *
 * `replaces` is the `change` of the secret that is replaced, or `created`. `void` marks what never held: of a key it is a
 * revocation, which older releases understand, and of a rotation the same record once more, which they ignore, and which
 * replaces the first one when the topic is compacted. Revocations of older releases have the record key `<id>|revoked`.
 *
 * Times are epoch ms. `by` is the id of the key with which it was done, or `operator at the broker`; `from` is the
 * client's address. Of the secret there is only SHA-256, in hex, and the public key that checks sessions which were
 * begun with it (session-text.ts). A secret that an older release has made has none, and begins no session. A scope that
 * a release does not know allows nothing there. A field that limits what a key may do is a new format, as that of a tenant is: a release
 * that ignored the field would let in more than it should. After a record that it cannot read, a process accepts no key (infra/kafka/record-contract.ts).
 */
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { Corrupt } from '../errors.ts';
import type { OutgoingRecord } from '../kafka/outgoing-record.ts';
import type { LogRecord } from '../kafka/record-batch.ts';
import { assertKnown, formatHeader, recordContract } from '../kafka/record-contract.ts';
import { OwnQuotasSchema } from '../quotas/quotas.ts';
import { keyIdPattern } from './key-text.ts';
import { regionPattern } from './region.ts';
import { sessionKeyPattern } from './session-text.ts';
import { adIdPrefixPattern, mostPrefixes, tenantIdPattern } from './tenant.ts';

/** The author of changes that are written to the topic without a key. */
export const operatorAtBroker = 'operator at the broker';

const time = Type.Integer({ minimum: 0, maximum: 8_640_000_000_000_000 });
const id = Type.String({ pattern: keyIdPattern.source });
const secret = {
  secret_sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  session_key: Type.Optional(Type.String({ pattern: sessionKeyPattern.source })),
};
const who = { at: time, by: Type.String({ minLength: 1 }), from: Type.Optional(Type.String()) };

const TenantValue = Type.Object({
  id: Type.String({ pattern: tenantIdPattern.source }),
  ad_id_prefixes: Type.Array(Type.String({ pattern: adIdPrefixPattern.source }), {
    minItems: 1,
    maxItems: mostPrefixes,
  }),
});
const CreatedValue = Type.Object({
  id,
  label: Type.String(),
  scopes: Type.Array(Type.String(), { minItems: 1 }),
  ad_id_prefix: Type.Optional(Type.String({ minLength: 1 })),
  quotas: Type.Optional(OwnQuotasSchema),
  tenant: Type.Optional(TenantValue),
  origins: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
  region: Type.Optional(Type.String({ pattern: regionPattern.source })),
  expires_at: Type.Optional(time),
  ...secret,
  ...who,
});
const LimitedValue = Type.Object({ id, change: id, quotas: OwnQuotasSchema, ...who });
const isVoid = { void: Type.Optional(Type.Literal(true)) };
const replaces = Type.Optional(Type.String({ minLength: 1 }));
const RotatedValue = Type.Object({ id, change: id, replaces, ...secret, previous_until: time, ...isVoid, ...who });
const RevokedValue = Type.Object({ id, change: Type.Optional(id), ...isVoid, ...who });

const values = { created: CreatedValue, rotated: RotatedValue, limited: LimitedValue, revoked: RevokedValue } as const;

export type KeyChange =
  | ({ readonly kind: 'created' } & Readonly<Static<typeof CreatedValue>>)
  | ({ readonly kind: 'rotated' } & Readonly<Static<typeof RotatedValue>>)
  | ({ readonly kind: 'limited' } & Readonly<Static<typeof LimitedValue>>)
  | ({ readonly kind: 'revoked' } & Readonly<Static<typeof RevokedValue>>);

/** The kinds and formats that this release can read. */
const contract = recordContract({ created: [1, 2, 3], rotated: [1], limited: [1], revoked: [1] });

/** @throws Corrupt for any other record. A reader that skipped it might skip a revocation */
export function keyChangeOf(record: LogRecord): KeyChange {
  const { offset, value, headers = {} } = record;
  assertKnown(contract, { topic: 'keys', partition: 0 }, record);
  const kind = String(headers['kind']) as KeyChange['kind'];
  const schema: TSchema = values[kind];
  const json = parsed(String(value));
  // The value is not shown. It holds no secret, but what is wrong with it is unknown.
  if (!Value.Check(schema, json) || formatOf(kind, json) !== Number(headers['adclicks_format'] ?? 1))
    throw new Corrupt(`topic keys, offset ${offset}: the value is no "${kind}" record`);
  return { kind, ...(json as object) } as KeyChange;
}

/** Ensures that no record is written at which all readers would stop. */
export function keyRecord({ kind, ...value }: KeyChange): OutgoingRecord {
  if (!Value.Check(values[kind] as TSchema, value)) throw new TypeError(`a "${kind}" record that nobody could read`);
  return {
    partition: 0,
    key: kind === 'created' ? value.id : `${value.id}|${'change' in value ? value.change : 'revoked'}`,
    value: JSON.stringify(value),
    headers: { kind, ...formatHeader(formatOf(kind, value)) },
  };
}

/**
 * A key of a tenant, a public one, and one that is made with quotas have a format of their own, which a release that does
 * not know these fields does not read. Such a release would let in more than it should. A region came later than these,
 * so a key that has one has a further format: a release that knows tenants and no regions must not read it either.
 */
function formatOf(kind: string, value: unknown): number {
  if (kind !== 'created' || typeof value !== 'object' || value === null) return 1;
  const given = Object.entries(value).filter(([, each]) => each !== undefined);
  return Math.max(1, ...given.map(([name]) => limits[name] ?? 1));
}

/** The first format that has the limit. */
const limits: Readonly<Record<string, number>> = { tenant: 2, quotas: 2, origins: 2, region: 3 };

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
