/** Defines what the core returns for one commit. */
import type { Progress, QuarantineRow } from '../ad-minute.ts';
import type { Checkpoint } from './checkpoint.ts';

/** The content of one transaction. It is true for all records before `position`. */
export interface Output {
  readonly position: number;
  readonly checkpoint: Checkpoint;
  /** Lines of AdMinuteRow (`AdMinuteLine`), in chunks of about 256 KiB. */
  readonly rowChunks: readonly Uint8Array[];
  /** Whether the rows are of the format that says what rules have found (`judgedFormat`). */
  readonly isJudged: boolean;
  readonly rows: number;
  readonly quarantined: readonly QuarantineRow[];
  /**
   * The number of partitions over which clicks are spread is missing here, because it does not follow from this
   * partition's log.
   */
  readonly progress: Omit<Progress, 'partitions'>;
}
