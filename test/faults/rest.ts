/** Waits until everything is counted, final and restated, and lets the pipeline recount itself. */
import { setTimeout as sleep } from 'node:timers/promises';

interface Status {
  readonly final_until: string | null;
  readonly conservation: { readonly rows: { readonly checked_at: string | null; readonly difference: number } | null };
  readonly partitions: readonly { readonly lag_records: number | null; readonly final_until: string | null }[];
}

interface Job {
  readonly id: string;
  readonly state: string;
  readonly diff?: { readonly cells: number };
  readonly result?: {
    readonly cells_differing: number;
    readonly cells_compared: number;
    readonly invalid: { readonly cells_differing: number };
  };
}

export interface Rest {
  /** Epoch ms: all that was posted had been read. */
  readonly countedAt: number;
  readonly finalUntil: number;
  readonly problem?: string;
}

const defaultLongestMs = 240_000;
const minuteMs = 60_000;

export async function comeToRest(url: string, lastClickAt: number, longestMs = defaultLongestMs): Promise<Rest> {
  const deadline = Date.now() + longestMs;
  const end = lastClickAt - (lastClickAt % minuteMs) + minuteMs;
  let countedAt = 0;
  let last: Status | undefined;
  while (Date.now() < deadline) {
    await sleep(500);
    last = await get<Status>(`${url}/v1/status`).catch(() => undefined);
    if (last === undefined) continue;
    // Ticks come and go at the end of the log.
    if (countedAt === 0 && last.partitions.every(p => p.lag_records !== null && p.lag_records <= 2))
      countedAt = Date.now();
    const finalUntil = Date.parse(last.final_until ?? '') || 0;
    if (countedAt === 0 || finalUntil < end) continue;
    const { replays } = await get<{ replays: Job[] }>(`${url}/v1/replays`);
    if (replays.some(isOpen)) continue;
    // Minutes with late clicks wait for more of them before they are restated: reconciliation tells when none is left.
    const found = await reconcile(url, end - 4 * 60 * minuteMs, finalUntil);
    if (found.result?.cells_differing === 0) return { countedAt, finalUntil };
  }
  const finalUntil = Date.parse(last?.final_until ?? '') || 0;
  return {
    countedAt: countedAt || Date.now(),
    finalUntil,
    problem: `not within ${longestMs / 1_000} s: ${JSON.stringify(last)}`,
  };
}

/** I9: a replay of the whole range finds nothing to change, nor does a reconciliation in SQL. */
export async function recountAll(url: string, from: number, to: number): Promise<string[]> {
  const replay = await start(`${url}/v1/replays`, { from, to, apply: false });
  const violations: string[] = [];
  if (replay.state !== 'done' || replay.diff?.cells !== 0)
    violations.push(`I9 replay: ${JSON.stringify(replay).slice(0, 300)}`);
  const { state, result } = await reconcile(url, from, to);
  if (state !== 'done' || result?.cells_differing !== 0 || result.invalid.cells_differing !== 0)
    violations.push(`I9 reconciliation: ${state} ${JSON.stringify(result).slice(0, 300)}`);
  return violations;
}

/** The pipeline's own watch compares rows with counters, once more now that all is at rest. */
export async function booksBalance(url: string): Promise<string[]> {
  const since = Date.now();
  const deadline = since + 60_000;
  for (;;) {
    const { rows } = (await get<Status>(`${url}/v1/status`)).conservation;
    if (Date.parse(rows?.checked_at ?? '') > since) {
      return rows?.difference === 0 ? [] : [`I5 as the pipeline sees it: ${JSON.stringify(rows)}`];
    }
    if (Date.now() > deadline) return [`I5: rows were not compared with counters within 60 s: ${JSON.stringify(rows)}`];
    await sleep(500);
  }
}

function reconcile(url: string, from: number, to: number): Promise<Job> {
  return start(`${url}/v1/reconciliations`, { from, to });
}

/** Starts a job and waits for its end. */
async function start(url: string, body: object): Promise<Job> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (response.status !== 202) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  const { id } = (await response.json()) as Job;
  const deadline = Date.now() + 120_000;
  for (;;) {
    const job = await get<Job>(`${url}/${id}`).catch(() => undefined);
    if (job !== undefined && !isOpen(job)) return job;
    if (Date.now() > deadline) throw new Error(`${url}/${id} is not done within 120 s: ${JSON.stringify(job)}`);
    await sleep(200);
  }
}

function isOpen({ state }: Job): boolean {
  return state === 'queued' || state === 'running';
}

async function get<T>(url: string): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return (await response.json()) as T;
}
