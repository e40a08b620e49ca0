/** Decides what follows when a child ends that nobody asked to end. It is pure: the supervisor acts. */
import type { RestartReason } from '../child-restarts.ts';
import { exitCodes } from '../exit-codes.ts';
import { stallExitCode, stallSignal } from '../watchdog.ts';
import type { Exit } from './service.ts';

export type Reaction =
  | { readonly kind: 'restart'; readonly delayMs: number; readonly failures: number }
  | { readonly kind: 'give up' };

export interface Ending {
  readonly code: number | null;
  readonly livedMs: number;
  /** How many times in a row it ended before it ran steadily. */
  readonly failures: number;
  /** Whether the whole pipeline has not yet been ready. */
  readonly startingUp: boolean;
}

/** `wasSilent` means that the supervisor has ended it because it did not answer. */
export function restartReasonOf({ code, signal }: Exit, wasSilent: boolean): RestartReason {
  if (wasSilent) return 'silent';
  if (signal === stallSignal || code === stallExitCode) return 'stalled';
  if (signal !== null) return 'killed';
  return code === 0 ? 'ended' : 'failed';
}

const firstDelayMs = 250;
const maxDelayMs = 10_000;
const steadyAfterMs = 30_000;

/**
 * Starts the child again with doubling pauses. The failures of a child that ran steadily are forgotten. An error that
 * the user must correct is final while the user is watching the start. Later, the same exit code may be caused by a
 * passing state of the machine.
 */
export function reactionTo({ code, livedMs, failures, startingUp }: Ending): Reaction {
  if (code === exitCodes.config && startingUp) return { kind: 'give up' };
  const before = livedMs >= steadyAfterMs ? 0 : failures;
  return { kind: 'restart', delayMs: Math.min(maxDelayMs, firstDelayMs * 2 ** before), failures: before + 1 };
}
