/**
 * Watches which job runner is active, as the status tells, and how soon one that was struck is succeeded
 * (successions.ts): while brokers, sink and database are well. So it ends with the storm, after which the sink is killed.
 * The status is asked every 50 ms and is up to half a second old, which is in what is told.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultPlan } from './fault-book.ts';
import { createSuccessions, toldOf } from './successions.ts';

export interface ActiveRunnerWatch {
  /** The runner at `url` was killed or stopped just now. */
  struck(url: string, plan: FaultPlan): void;
  /** It has been started and answers, or it is about to end, or to be started. */
  isWell(url: string, isWell: boolean): void;
  stop(): Promise<{ readonly note: string; readonly violations: readonly string[] }>;
}

interface Runner {
  readonly host: string;
  readonly since: string;
}

export function watchActiveRunner(queryApiUrl: () => string, say: (line: string) => void): ActiveRunnerWatch {
  let isOver = false;
  let seen: Runner | undefined;
  const successions = createSuccessions();
  const look = async () => {
    const answer = await fetch(`${queryApiUrl()}/v1/status`, { signal: AbortSignal.timeout(2_000) });
    const { job_runner } = (await answer.json()) as { job_runner: Runner | null };
    if (job_runner === null || job_runner.since === seen?.since) return;
    seen = job_runner;
    const before = successions.all.length;
    successions.term(portOf(`http://${seen.host}`), Date.parse(seen.since), Date.now());
    for (const { by, sinceBlowMs, sinceWellMs } of successions.all.slice(before))
      say(`succeeded ${sinceBlowMs} ms after ${by}, ${sinceWellMs ?? 'none'} since another was well`);
  };
  const running = (async () => {
    while (!isOver) {
      await look().catch(() => undefined);
      await sleep(50);
    }
  })();
  return {
    struck(url, { step, action }) {
      const runner = portOf(url);
      // All step-points but this are those of who is active, or has just been given the lease.
      if (step.endsWith('anywhere') && successions.active !== runner) successions.unwellAt(runner, Date.now());
      else successions.blow(runner, `${action} at "${step}"`, Date.now());
    },
    isWell(url, isWell) {
      if (isWell) successions.wellAt(portOf(url), Date.now());
      else successions.unwellAt(portOf(url), Date.now());
    },
    async stop() {
      isOver = true;
      await running;
      return toldOf(successions);
    },
  };
}

function portOf(url: string): string {
  return new URL(url).port;
}
