/** Something to answer with: clicks, late ones, jobs; and the values by which they can be asked for. */
import { clickStream } from '../support/click-stream.ts';
import type { TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

/** What `real_values.py` takes. */
export interface KnownValues {
  /** `from` and `to`. */
  readonly ranges: readonly (readonly [string, string])[];
  readonly fields: Readonly<Record<string, readonly unknown[]>>;
  /** By path. */
  readonly ids: Readonly<Record<string, readonly string[]>>;
}

export async function knownValues(pipeline: TestPipeline, apiKey: string, seed: number): Promise<KnownValues> {
  const now = Date.now();
  const lateAt = now - 3_600_000;
  const clicks = clickStream({ ads: 30, seed }).take(500);
  await pipeline.post(
    clicks.map(({ adId, eventId, clickedAt, country }) => {
      return { ad_id: adId, event_id: eventId, clicked_at: clickedAt, country };
    }),
  );
  await pipeline.post({ ad_id: 'ad-late', event_id: 'late', clicked_at: lateAt });
  await eventually('the late click restated', async () => {
    const { copies } = await pipeline
      .get<{ copies: { outcome: string }[] }>('/v1/clicks/late')
      .catch(() => ({ copies: [] }));
    return copies[0]?.outcome === 'restated';
  });
  const ranges = [rangeOf(lateAt, 1), rangeOf(now - 10 * 60_000, 8), rangeOf(now, 1)];
  const [range] = ranges;
  return {
    ranges,
    fields: {
      ad_id: ['ad-late', 'ad_0', 'ad_1'],
      event_id: ['late', ...clicks.slice(0, 5).map(({ eventId }) => eventId)],
      clicked_at: clicks.slice(0, 5).map(({ clickedAt }) => clickedAt),
      as_of: [new Date(now).toISOString()],
      country: ['KR', 'ZZ'],
      // Where it stands beside from and to, the service says so.
      window: [1, 5, 60],
    },
    ids: {
      '/v1/keys/{id}': [await makeKey(pipeline, apiKey)],
      '/v1/keys/{id}/rotate': [await makeKey(pipeline, apiKey)],
      '/v1/replays/{id}': [await startJob(pipeline, 'replays', range)],
      '/v1/reconciliations/{id}': [await startJob(pipeline, 'reconciliations', range)],
    },
  };
}

function rangeOf(time: number, minutes: number): [string, string] {
  const from = time - (time % 60_000);
  return [new Date(from).toISOString(), new Date(from + minutes * 60_000).toISOString()];
}

async function makeKey({ queryApi }: TestPipeline, apiKey: string): Promise<string> {
  const response = await fetch(`${queryApi.url}/v1/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({ label: 'schemathesis', scopes: ['read'] }),
  });
  const { id } = (await response.json()) as { id?: string };
  if (id === undefined) throw new Error(`no key was made: ${response.status}`);
  return id;
}

async function startJob({ queryApi }: TestPipeline, kind: string, range: KnownValues['ranges'][number] | undefined) {
  const response = await fetch(`${queryApi.url}/v1/${kind}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ from: range?.[0], to: range?.[1] }),
  });
  const { id } = (await response.json()) as { id?: string };
  if (id === undefined) throw new Error(`no job was started: ${response.status}`);
  return id;
}
