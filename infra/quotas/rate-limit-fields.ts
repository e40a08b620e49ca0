/**
 * Writes the response fields `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-10 defines
 * them. They say which quota a client has, how much of it is left, and when there is more.
 *
 * The draft knows three units: requests, bytes and concurrent requests. Others are told in a parameter of ours, because
 * the unit that it assumes otherwise would be requests.
 */
export interface Limit {
  /** The name of the policy. */
  readonly policy: string;
  readonly quota: number;
  /** Left out: requests. */
  readonly unit?: 'content-bytes' | 'concurrent-requests' | undefined;
  /** The unit, if the draft does not know it. */
  readonly ownUnit?: string | undefined;
  /** In which so much is allowed. Left out for what is held rather than used up. */
  readonly windowS?: number | undefined;
  readonly remaining: number;
  /** Until there is more. */
  readonly resetS?: number | undefined;
}

export function rateLimitFields(limit: Limit): { readonly 'ratelimit-policy': string; readonly ratelimit: string } {
  const { policy, quota, unit, ownUnit, windowS, remaining, resetS } = limit;
  const policyField = [
    `"${policy}";q=${whole(quota)}`,
    unit === undefined ? '' : `;qu="${unit}"`,
    windowS === undefined ? '' : `;w=${Math.max(1, Math.ceil(windowS))}`,
    ownUnit === undefined ? '' : `;adclicks-unit="${ownUnit}"`,
  ].join('');
  const reset = resetS === undefined ? '' : `;t=${whole(resetS)}`;
  return { 'ratelimit-policy': policyField, ratelimit: `"${policy}";r=${whole(remaining)}${reset}` };
}

/** An integer of structured fields has at most 15 digits. */
function whole(value: number): number {
  return Math.min(999_999_999_999_999, Math.max(0, Math.floor(value)));
}
