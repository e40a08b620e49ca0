/**
 * `npm run replay -- --from … --to … [--apply]`: recounts final minutes from raw clicks, as a job of the query API,
 * and shows what differs. Ctrl-C leaves the job running; `--cancel <id>` ends it. Exit code 1 if the job did not end
 * well.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import { Command, InvalidArgumentError } from 'commander';

interface GivenOptions {
  readonly url: string;
  readonly from?: string;
  readonly to?: string;
  readonly apply: boolean;
  readonly job?: string;
  readonly cancel?: string;
  readonly rows: number;
  readonly json: boolean;
}

interface Replay {
  readonly id: string;
  readonly state: string;
  readonly minutes_done: number;
  readonly minutes_total: number;
  readonly clicks_read: number;
  readonly error: string | null;
  readonly diff: { readonly cells: number; readonly before: number; readonly after: number; readonly rows: DiffRow[] };
}

interface DiffRow {
  readonly minute: string;
  readonly ad_id: string;
  readonly country: string;
  readonly before: number;
  readonly after: number;
}

/** Between two looks at the job. */
const pollMs = 300;

const program = new Command('replay')
  .description('Recount final minutes from raw clicks, and show, or with --apply restate, what differs.')
  .option('--from <time>', 'begin, inclusive: RFC 3339 or epoch ms, a whole minute')
  .option('--to <time>', 'end, exclusive')
  .option('--apply', 'restate what differs', false)
  .option('--job <id>', 'follow a job that was started before')
  .option('--cancel <id>', 'end a job')
  .option('--rows <n>', 'rows of the diff to show, at most 10000', rowCount, 50)
  .option('--json', 'print the job with its diff as JSON', false)
  .option('--url <url>', 'base URL of the query API', 'http://127.0.0.1:8081')
  .action(async (given: GivenOptions) => {
    if (given.cancel) return await cancel(given, given.cancel);
    const id = given.job ?? (await start(given));
    const replay = await follow(given, id);
    if (given.json) process.stdout.write(`${JSON.stringify(replay)}\n`);
    else process.stdout.write(summaryOf(replay, given));
    if (replay.state !== 'done') process.exitCode = 1;
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`replay: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}

async function start(given: GivenOptions): Promise<string> {
  if (!given.from || !given.to) throw new Error('give --from and --to, or --job <id>');
  const body = JSON.stringify({ from: given.from, to: given.to, apply: given.apply });
  const { id } = await ask<{ id: string }>(given, '/v1/replays', { method: 'POST', body });
  if (!given.json) process.stdout.write(`replay ${id}\n`);
  return id;
}

async function cancel(given: GivenOptions, id: string): Promise<void> {
  await ask(given, `/v1/replays/${encodeURIComponent(id)}`, { method: 'DELETE' });
  process.stdout.write(`replay ${id} is being cancelled\n`);
}

/** Until the job has ended. */
async function follow(given: GivenOptions, id: string): Promise<Replay> {
  const bar = new SingleBar({
    format: '{bar} {percentage}% | {value}/{total} minutes | {clicks} clicks | {state}',
    clearOnComplete: true,
    hideCursor: true,
  });
  const isShown = !given.json && process.stderr.isTTY;
  if (isShown) bar.start(1, 0, { clicks: 0, state: 'queued' });
  try {
    for (;;) {
      const replay = await ask<Replay>(given, `/v1/replays/${encodeURIComponent(id)}?limit=${given.rows}`);
      if (isShown) {
        bar.setTotal(replay.minutes_total);
        bar.update(replay.minutes_done, { clicks: replay.clicks_read, state: replay.state });
      }
      if (replay.state !== 'queued' && replay.state !== 'running') return replay;
      await sleep(pollMs);
    }
  } finally {
    bar.stop();
  }
}

async function ask<T>({ url }: GivenOptions, path: string, init: { method?: string; body?: string } = {}): Promise<T> {
  const headers = init.body === undefined ? {} : { 'content-type': 'application/json' };
  const response = await fetch(new URL(path, url), { ...init, headers }).catch(() => {
    throw new Error(`${url} does not answer: is the query API running?`);
  });
  if (response.ok) return (await response.json()) as T;
  const { detail } = (await response.json().catch(() => ({}))) as { detail?: string };
  throw new Error(`${response.status} ${detail ?? response.statusText}`);
}

function summaryOf(
  { id, state, minutes_done, clicks_read, error, diff }: Replay,
  { apply, rows }: GivenOptions,
): string {
  const head = `${state}: ${minutes_done} minutes, ${clicks_read} clicks recounted, ${diff.cells} counts differ\n`;
  if (error !== null) return `${head}${error}\n`;
  if (diff.cells === 0) return head;
  const sum = `${diff.before} → ${diff.after} clicks in those${apply ? ', restated' : '; --apply restates them'}\n`;
  const more = diff.cells > rows ? `… and ${diff.cells - rows} more: GET /v1/replays/${id}\n` : '';
  return `${head}${sum}${tableOf(diff.rows)}${more}`;
}

function tableOf(rows: readonly DiffRow[]): string {
  const lines = [
    ['minute', 'ad', 'country', 'before', 'after', 'change'],
    ...rows.map(({ minute, ad_id, country, before, after }) => {
      const change = after - before;
      return [minute, ad_id, country, `${before}`, `${after}`, change > 0 ? `+${change}` : `${change}`];
    }),
  ];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map(line => line[column]?.length ?? 0))) ?? [];
  const padded = (line: readonly string[]) =>
    line.map((text, i) => (i < 3 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))).join('  ');
  return `${lines.map(padded).join('\n')}\n`;
}

function rowCount(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 10_000) return value;
  throw new InvalidArgumentError('must be a whole number from 1 to 10000');
}
