/** Reads the whole lines in quarantine that fit a filter, oldest first. Only a few of them are in memory at a time. */
import type { AnswerOf, Client } from '../client/client.ts';

export type QuarantinedLine = AnswerOf<'exportQuarantine'>;

export interface LineFilter {
  readonly reason?: string | undefined;
  readonly ad?: string | undefined;
  /** Without it, lines with any outcome. */
  readonly outcome?: QuarantinedLine['outcome'] | undefined;
}

export function quarantinedLines(client: Client, { reason, ad, outcome }: LineFilter): AsyncGenerator<QuarantinedLine> {
  return client.lines('exportQuarantine', { query: { reason, ad_id: ad, outcome } });
}

/** Groups lines into batches of at most `most`. */
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
