/**
 * Counts how often the supervisor of `npm start` has started processes again, and why. The supervisor has no port of
 * its own, so it reports the counts of all children to every child, which has them among its metrics. So the counts of
 * a child that does not start are visible too.
 */
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { counter } from './metrics.ts';

/**
 * Why a child has ended. `stalled`: by its watchdog. `silent`: by the supervisor, because it did not answer. `killed`:
 * by another signal. `failed`: with an exit code other than 0. `ended`: with 0, although nobody had asked it to.
 */
export const restartReasons = ['stalled', 'silent', 'killed', 'failed', 'ended'] as const;
export type RestartReason = (typeof restartReasons)[number];

export const RestartCounts = Type.Object({
  childRestarts: Type.Array(Type.Object({ child: Type.String(), reason: Type.String(), count: Type.Integer() })),
});
export type RestartCounts = Static<typeof RestartCounts>;

/** `service` is shown until a supervisor reports more. */
export function takeRestartCounts(service: string): void {
  for (const reason of restartReasons) restarts.inc({ child: service, reason }, 0);
  process.on('message', message => {
    if (!Value.Check(RestartCounts, message)) return;
    restarts.reset();
    for (const { child, reason, count } of message.childRestarts) restarts.inc({ child, reason }, count);
  });
}

const restarts = counter(
  'child_restarts_total',
  'How often the supervisor of `npm start` has started a process again, by process and reason',
  ['child', 'reason'],
);
