/**
 * Lists the quotas of an API key: what each limits, in which unit, and what it is called in settings and in the fields
 * that a client gets. A key may have values of its own for some of them (infra/keys/key-record.ts); for all others the
 * settings of the process hold. 0 means that there is no limit.
 */
import { Type } from 'typebox';

interface QuotaMeaning {
  readonly setting: string;
  /** The unit as the IETF draft knows it, if it does. */
  readonly unit: 'content-bytes' | 'concurrent-requests' | undefined;
  readonly description: string;
}

export const quotaMeanings = {
  clicks_per_second: {
    setting: 'KEY_CLICKS_PER_SECOND',
    unit: undefined,
    description: 'clicks per second, whether they are accepted or not; a request counts at least once',
  },
  burst_seconds: {
    setting: 'KEY_BURST_SECONDS',
    unit: undefined,
    description: 'seconds of `clicks_per_second` that may be posted at once after a pause',
  },
  bytes_in_flight: {
    setting: 'KEY_BYTES_IN_FLIGHT',
    unit: 'content-bytes',
    description: 'bytes of posted bodies, as they are sent, whose requests are not answered yet',
  },
  connections: {
    setting: 'KEY_CONNECTIONS',
    unit: 'concurrent-requests',
    description: 'open connections whose last request had the key; those of trusted proxies are not counted',
  },
  open_jobs: {
    setting: 'KEY_OPEN_JOBS',
    unit: undefined,
    description: 'replays and reconciliations that are queued or running',
  },
  exports: { setting: 'KEY_EXPORTS', unit: 'concurrent-requests', description: 'exports that are running' },
  live_listeners: {
    setting: 'KEY_LIVE_LISTENERS',
    unit: 'concurrent-requests',
    description: 'open listeners of `/v1/live`',
  },
  raw_read_seconds_per_minute: {
    setting: 'KEY_RAW_READ_SECONDS_PER_MINUTE',
    unit: undefined,
    description: 'seconds of a minute for which requests for raw clicks may have places in the database',
  },
} as const satisfies Record<string, QuotaMeaning>;

export type QuotaName = keyof typeof quotaMeanings;

/** All of them. */
export type Quotas = Readonly<Record<QuotaName, number>>;

/** Those that a key has for itself. */
export type OwnQuotas = Readonly<Partial<Record<QuotaName, number>>>;

export const quotaNames = Object.keys(quotaMeanings) as readonly QuotaName[];

export const mostOfQuota = 1_000_000_000_000;

/** As records and requests have it. */
export const OwnQuotasSchema = Type.Object(
  Object.fromEntries(
    quotaNames.map(name => [
      name,
      Type.Optional(
        Type.Integer({
          minimum: leastOf(name),
          maximum: mostOfQuota,
          description: `${quotaMeanings[name].description}${name === 'burst_seconds' ? '' : '; 0: no limit'}; left out: ${quotaMeanings[name].setting} of the process`,
        }),
      ),
    ]),
  ) as Record<QuotaName, ReturnType<typeof Type.Optional<ReturnType<typeof Type.Integer>>>>,
);

/** Returns the first rule that is broken, if any. */
export function brokenQuotaRule(
  quotas: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly value: unknown; readonly rule: string } | undefined {
  for (const [name, value] of Object.entries(quotas)) {
    if (!Object.hasOwn(quotaMeanings, name))
      return { name, value, rule: `must not be given, because the quotas are ${quotaNames.join(', ')}` };
    const least = leastOf(name);
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > mostOfQuota)
      return { name, value, rule: `must be a whole number from ${least} to ${mostOfQuota}` };
  }
  return undefined;
}

/** No burst would be no clicks. */
function leastOf(name: string): number {
  return name === 'burst_seconds' ? 1 : 0;
}
