/** The lines in quarantine that fit, whole, oldest first: as many as there are, a few in memory at a time. */
import type { AnswerOf, Client } from '../client/client.ts';

export type QuarantinedLine = AnswerOf<'exportQuarantine'>;

export interface LineFilter {
  readonly reason?: string | undefined;
  readonly ad?: string | undefined;
  /** What has become of them; left out: whatever it is. */
  readonly outcome?: QuarantinedLine['outcome'] | undefined;
}

export function quarantinedLines(client: Client, { reason, ad, outcome }: LineFilter): AsyncGenerator<QuarantinedLine> {
  return client.lines('exportQuarantine', { query: { reason, ad_id: ad, outcome } });
}

/** The same, so many at a time. */
export async function* inBatches<T>(lines: AsyncIterable<T>, most: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const line of lines) {
    batch.push(line);
    if (batch.length < most) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
