/** What is to be done without anybody asking: late minutes are restated, hours that have become final reconciled. */
import type { Logger } from '../../infra/log.ts';
import { type Job, newJob } from './job.ts';
import type { JobStore } from './job-store.ts';
import type { LateMinutes } from './late-minutes.ts';
import { rawSince } from './raw-retention.ts';

export interface WorkFinderDeps {
  readonly store: Pick<JobStore, 'save' | 'lastHourly'>;
  readonly lateMinutes: LateMinutes;
  readonly now: () => number;
  readonly log: Logger;
  readonly scanMs?: number;
}

export type WorkFinder = (finalUntil: number, open: readonly Job[]) => Promise<void>;

export function createWorkFinder({ store, lateMinutes, now, log, scanMs = 5_000 }: WorkFinderDeps): WorkFinder {
  let scanAt = 0;
  let nextHour: number | undefined;

  const restate = async (finalUntil: number) => {
    const due = await lateMinutes.due(finalUntil, rawSince(now()));
    if (due.length === 0) return;
    const minutes = [...new Set(due.map(({ minute }) => minute))].sort((a, b) => a - b);
    const [from = 0, to = 0] = [minutes[0], (minutes.at(-1) ?? 0) + minuteMs];
    const job = newJob({ kind: 'restate', reason: 'late', apply: true, from, to, minutes }, now());
    // The job first: if this process ends in between, the minutes are found, and recounted, once more.
    await store.save(job);
    await lateMinutes.taken(due, job.id);
    const lines = due.reduce((sum, late) => sum + late.lines, 0);
    log.info({ job: job.id, minutes: minutes.length, lines }, 'late clicks: minutes are to be restated');
  };

  const reconcile = async (finalUntil: number) => {
    nextHour ??= (await store.lastHourly())?.to ?? finalUntil - (finalUntil % hourMs);
    // After a long stop, what is left of raw is what can be reconciled.
    nextHour = Math.max(nextHour, Math.ceil(rawSince(now()) / hourMs) * hourMs);
    if (nextHour + hourMs > finalUntil) return;
    const hour = { from: nextHour, to: nextHour + hourMs };
    await store.save(newJob({ kind: 'reconcile', reason: 'hourly', apply: false, ...hour }, now()));
    nextHour = hour.to;
  };

  return async (finalUntil, open) => {
    if (now() < scanAt) return;
    scanAt = now() + scanMs;
    if (!open.some(({ kind }) => kind === 'restate')) await restate(finalUntil);
    if (!open.some(({ reason }) => reason === 'hourly')) await reconcile(finalUntil);
  };
}

const minuteMs = 60_000;
const hourMs = 3_600_000;
