/**
 * The lines in quarantine that fit, newest first. Its only source is here: the list of the query API, which ends after
 * `maxLines` and cuts long lines.
 */

import type { AnswerOf, Client } from '../client/client.ts';
import { rawShown } from '../quarantine-queries.ts';

export type QuarantinedLine = AnswerOf<'getQuarantine'>['lines'][number];

export interface LineFilter {
  readonly reason?: string | undefined;
  readonly ad?: string | undefined;
}

/** Lines that one list has at most. */
export const maxLines = 1_000;

export async function* quarantinedLines(client: Client, { reason, ad }: LineFilter): AsyncGenerator<QuarantinedLine> {
  const { lines } = await client.ask('getQuarantine', { query: { reason, ad_id: ad, limit: maxLines } });
  yield* lines;
}

/** A line as long as what is shown may go on beyond. */
export function isCut({ raw }: QuarantinedLine): boolean {
  return [...raw].length >= rawShown;
}
