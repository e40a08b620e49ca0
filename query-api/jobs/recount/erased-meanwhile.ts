/**
 * Gives a recount each person under one name, while a node erases persons.
 *
 * A node changes the rows of an erased person one part after another, and new rows of that person come in erased before
 * the others are. So for minutes the clicks of one person stand under two names, and at two addresses. A recount that
 * read them so would let each cap through twice, and would restate a billed number that nothing has changed. So what is
 * read is changed to what the node is about to keep: by the log of erasures, as sinks do.
 *
 * An erasure that was asked for after a read began is not known to it. Then nobody can tell which of its rows were
 * read before they were changed, so the read is repeated.
 */
import { setImmediate } from 'node:timers/promises';
import { erasedClick } from '../../../aggregator/sink/erased-rows.ts';
import { Retryable } from '../../../infra/errors.ts';
import type { FollowedErasures } from '../../../ingest/privacy/follow-erasures.ts';
import { type AreErasuresOpen, erasuresOpenIn } from '../replicas/open-erasures.ts';

/** What is known of erasures when a read begins. */
export interface ErasedMeanwhile {
  /** Returns a page of lines of clicks in which erased persons have the names that they get. */
  renamed(page: Uint8Array): Promise<Uint8Array>;
  /** @throws Retryable when somebody was erased since the read began */
  assertNobody(): Promise<void>;
}

export type LookAtErasures = () => Promise<ErasedMeanwhile>;

/** `nodes` returns those that are read. */
export function erasuresMeanwhile(
  erasures: Pick<FollowedErasures, 'book' | 'readToEnd'>,
  nodes: () => Parameters<AreErasuresOpen>[0],
): LookAtErasures {
  const { book, readToEnd } = erasures;
  const areOpen = erasuresOpenIn(erasures);
  return async () => {
    await readToEnd();
    const { version } = book;
    const isAnyOpen = await areOpen(nodes());
    return {
      renamed: async page => (isAnyOpen ? await renamedIn(page, erasures) : page),
      async assertNobody() {
        await readToEnd();
        if (book.version !== version)
          throw new Retryable('persons were erased while their clicks were read: they are read again');
      },
    };
  };
}

/** For who has no log of erasures: nobody is erased. */
export const nobodyErased: LookAtErasures = async () => ({
  renamed: async page => page,
  assertNobody: async () => undefined,
});

async function renamedIn(page: Uint8Array, { book }: Pick<FollowedErasures, 'book'>): Promise<Uint8Array> {
  const lines = new TextDecoder().decode(page).split('\n');
  for (const [i, line] of lines.entries()) {
    if (line !== '') lines[i] = erasedClick(line, book) ?? line;
    if (i % linesInTurn === linesInTurn - 1) await setImmediate();
  }
  return Buffer.from(lines.join('\n'));
}

/** About 10 ms of work. The lease and the consumers of this process are served in between. */
const linesInTurn = 2_000;
