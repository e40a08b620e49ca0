/** Chooses the checkpoint from which a partition is counted, or throws when a person must decide it. */
import { Corrupt } from '../infra/errors.ts';
import type { Committed } from '../infra/kafka/committed.ts';
import { decodeCheckpoint } from './commit-metadata.ts';
import { type Checkpoint, freshCheckpoint } from './core/checkpoint.ts';

/** `range` is the range of offsets that the log holds. @throws Corrupt where any starting point would be a guess */
export function startingCheckpoint(
  committed: Committed | undefined,
  range: { readonly start: number; readonly end: number },
  withoutCommit: 'fail' | 'earliest',
): Checkpoint {
  if (committed === undefined) {
    if (range.start === 0 || withoutCommit === 'earliest') return freshCheckpoint(range.start);
    throw new Corrupt(
      `there is no committed offset, but the log begins at ${range.start}: unread clicks may be lost, or the offsets of the group have expired. ` +
        'AGGREGATOR_WITHOUT_COMMIT=earliest counts what is still in the log',
    );
  }
  const checkpoint = decodeCheckpoint(committed.metadata);
  if (checkpoint.restoreFrom < range.start) {
    throw new Corrupt(
      `the log begins at ${range.start}, but open minutes need it from ${checkpoint.restoreFrom}: retention has removed unread clicks`,
    );
  }
  if (committed.offset > range.end) {
    throw new Corrupt(
      `committed offset ${committed.offset} is after the end of the log, ${range.end}: the topic was created again`,
    );
  }
  return checkpoint;
}
