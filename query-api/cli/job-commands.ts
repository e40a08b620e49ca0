/** `adclicks replay` (also `npm run replay`) and `adclicks reconcile` start jobs of the query API and follow them. `adclicks jobs` lists all jobs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import { Command, Option } from 'commander';
import { ConfigError } from '../../infra/errors.ts';
import { type AnswerOf, type Client, ProblemError } from '../client/client.ts';
import { clientOf, exitCodes, type ServiceOptions, show, wholeNumber, withRange, withService } from './cli.ts';
import { jobsText, type ListedJob, reconciliationText, replayText } from './jobs-text.ts';
import { rulesIn } from './rules-commands.ts';

interface JobOptions extends ServiceOptions {
  readonly from?: string;
  readonly to?: string;
  readonly job?: string;
}

interface ReplayOptions extends JobOptions {
  readonly apply: boolean;
  readonly cancel?: string;
  readonly rows: number;
  readonly rules?: number;
  readonly draftRules?: string;
  readonly pricePerClick?: string;
}

/** `differsCode` is the exit code of a dry run that has found a difference. */
export function replayCommand(differsCode: number = exitCodes.differs): Command {
  return withRange(withService(new Command('replay')))
    .description(
      'Recounts final minutes from raw clicks and shows what differs. With --apply it restates what differs.',
    )
    .option('--apply', 'restate what differs', false)
    .option('--rules <version>', 'judge clicks by this version of the rules; 0: by none', wholeNumber(0, 2 ** 31))
    .option(
      '--draft-rules <file>',
      'judge clicks by the rules in this file (- for standard input), without announcing them',
    )
    .option('--price-per-click <price>', 'with --rules or --draft-rules: show the effect in money, too')
    .option('--job <id>', 'follow this job instead of starting one')
    .option('--cancel <id>', 'cancel this replay; restatements of late clicks cannot be cancelled')
    .option('--rows <n>', 'how many differing counts to show, at most 10000', wholeNumber(1, 10_000), 50)
    .addHelpText('after', '\nAfter Ctrl-C the job goes on. --job <id> follows it again, --cancel <id> cancels it.')
    .action(async (given: ReplayOptions) => {
      const client = clientOf(given);
      if (given.cancel !== undefined) {
        const job = await client.ask('cancelReplay', { params: { id: given.cancel } });
        return show(job, given, ({ id }) => `replay ${id} is being cancelled\n`);
      }
      const id = given.job ?? (await started(client, 'startReplay', given, await byRules(given)));
      const query = { limit: given.rows };
      const replay = await followed(given, () => client.ask('getReplay', { params: { id }, query }));
      show(replay, given, answer => replayText(answer, given.rows));
      if (replay.state !== 'done') process.exitCode = exitCodes.failed;
      else if (replay.diff.cells > 0 && !replay.apply) process.exitCode = differsCode;
    });
}

export function reconcileCommand(): Command {
  return withRange(withService(new Command('reconcile')))
    .description(
      'Compares final counts, and which clicks are invalid, with raw clicks in SQL, without the streaming code. Exit code 3: they differ.',
    )
    .option('--job <id>', 'follow this job instead of starting one')
    .addHelpText('after', '\nExample:\n  adclicks reconcile --from 2026-01-01T00:00Z --to 2026-01-02T00:00Z')
    .action(async (given: JobOptions) => {
      const client = clientOf(given);
      const id = given.job ?? (await started(client, 'startReconciliation', given));
      const job = await followed(given, () => client.ask('getReconciliation', { params: { id } }));
      show(job, given, reconciliationText);
      if (job.state !== 'done') process.exitCode = exitCodes.failed;
      else if (differs(job.result)) process.exitCode = exitCodes.differs;
    });
}

/** A query API of the release before says nothing of invalid clicks. */
function differs({ cells_differing, invalid }: Reconciled): boolean {
  return cells_differing > 0 || (invalid?.cells_differing ?? 0) > 0;
}

type Result = AnswerOf<'getReconciliation'>['result'];
type Reconciled = Pick<Result, 'cells_differing'> & Partial<Pick<Result, 'invalid'>>;

export function jobsCommand(): Command {
  return withService(new Command('jobs'))
    .description(
      'Lists replays, restatements and reconciliations: running jobs first, then queued ones, then ended ones. The newest come first.',
    )
    .addOption(new Option('--kind <kind>', 'only jobs of this kind').choices(['replays', 'reconciliations']))
    .option('--open', 'only jobs that run or are queued', false)
    .option('--limit <n>', 'how many jobs to show of each kind', wholeNumber(1, 10_000), 20)
    .action(async (given: JobsOptions) => {
      const client = clientOf(given);
      const lists = [
        ...(given.kind === 'reconciliations' ? [] : [await listed(given, query => replaysPage(client, query))]),
        ...(given.kind === 'replays' ? [] : [await listed(given, query => reconciliationsPage(client, query))]),
      ];
      const jobs = lists.flatMap(list => list.jobs);
      show({ jobs, hasMore: lists.some(list => list.hasMore) }, given, jobsText);
    });
}

interface JobsOptions extends ServiceOptions {
  readonly kind?: 'replays' | 'reconciliations';
  readonly open: boolean;
  readonly limit: number;
}

interface JobsPage {
  readonly jobs: readonly ListedJob[];
  readonly cursor: string | null;
}

type PageQuery = { readonly limit: number; readonly cursor: string | undefined };

async function replaysPage(client: Client, query: PageQuery): Promise<JobsPage> {
  const { replays, next_cursor } = await client.ask('listReplays', { query });
  return { jobs: replays, cursor: next_cursor };
}

async function reconciliationsPage(client: Client, query: PageQuery): Promise<JobsPage> {
  const { reconciliations, next_cursor } = await client.ask('listReconciliations', { query });
  return { jobs: reconciliations, cursor: next_cursor };
}

/** Reads page by page, up to the limit. Open jobs come first, so after the first ended job there are no more open ones. */
async function listed(
  { open, limit }: JobsOptions,
  pageOf: (query: PageQuery) => Promise<JobsPage>,
): Promise<{ readonly jobs: readonly ListedJob[]; readonly hasMore: boolean }> {
  const found = new Map<string, ListedJob>();
  for (let cursor: string | undefined; ; ) {
    const page = await pageOf({ limit: Math.min(limit, jobsPerPage), cursor });
    const wanted = open ? page.jobs.filter(isOpen) : page.jobs;
    for (const job of wanted) found.set(job.id, job);
    const isWhole = page.cursor === null || wanted.length < page.jobs.length;
    if (isWhole || found.size >= limit) {
      return { jobs: [...found.values()].slice(0, limit), hasMore: !isWhole || found.size > limit };
    }
    cursor = page.cursor ?? undefined;
  }
}

const jobsPerPage = 1_000;

function isOpen({ state }: Pick<ListedJob, 'state'>): boolean {
  return state === 'queued' || state === 'running';
}

async function started(
  client: Client,
  operation: 'startReplay' | 'startReconciliation',
  given: JobOptions & { readonly apply?: boolean },
  rules?: Awaited<ReturnType<typeof byRules>>,
): Promise<string> {
  const { from, to, apply, json } = given;
  if (from === undefined || to === undefined) throw new ConfigError('--from and --to must be given, or --job <id>');
  const { id, kind } =
    operation === 'startReplay'
      ? await client.ask(operation, { body: { from, to, apply, ...rules } })
      : await client.ask(operation, { body: { from, to } });
  if (!json) process.stdout.write(`${kind} ${id}\n`);
  return id;
}

async function byRules({ rules, draftRules, pricePerClick: price_per_click }: ReplayOptions) {
  const draft_rules = draftRules === undefined ? undefined : await rulesIn(draftRules);
  return { rules, draft_rules, price_per_click };
}

type Job = Pick<AnswerOf<'getReplay'>, 'state' | 'minutes_done' | 'minutes_total' | 'clicks_read'>;

/**
 * Asks for the job again and again until it has ended. One that was started a moment ago may not be stored yet while a
 * sink is behind, so 404 is not taken for an answer before it has been so for long.
 */
async function followed<T extends Job>(
  { json, job: given }: ServiceOptions & Pick<JobOptions, 'job'>,
  look: () => Promise<T>,
): Promise<T> {
  const bar = new SingleBar({
    format: '{bar} {percentage}% | {value}/{total} minutes | {clicks} clicks | {state}',
    clearOnComplete: true,
    hideCursor: true,
  });
  const isShown = !json && process.stderr.isTTY;
  if (isShown) bar.start(1, 0, { clicks: 0, state: 'queued' });
  try {
    for (let waitedMs = 0; ; waitedMs += pollMs) {
      const isNew = given === undefined && waitedMs < storedWithinMs;
      const job = await look().catch(error => {
        if (isNew && error instanceof ProblemError && error.status === 404) return undefined;
        throw error;
      });
      if (job === undefined) {
        await sleep(pollMs);
        continue;
      }
      if (isShown) {
        bar.setTotal(job.minutes_total);
        bar.update(job.minutes_done, { clicks: job.clicks_read, state: job.state });
      }
      if (!isOpen(job)) return job;
      await sleep(pollMs);
    }
  } finally {
    bar.stop();
  }
}

/** The pause between two questions for a job. */
const pollMs = 300;
const storedWithinMs = 60_000;
