/**
 * Runs `npm run demo`, which sends lively artificial traffic so that a newcomer sees the product move. It runs until it
 * is stopped.
 */
import { randomBytes } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';
import { ConfigError, messageOf, Retryable } from '../../infra/errors.ts';
import { ownKeyOf } from '../../infra/keys/own-key.ts';
import { Delivery } from '../feed/delivery.ts';
import { ratePace } from '../feed/pace.ts';
import { createPoster } from '../feed/poster.ts';
import { createDemoTraffic } from './demo.ts';

interface DemoCommand {
  readonly url: string;
  readonly rate: number;
  readonly ads: number;
  readonly seconds?: number;
}

const program = new Command('demo')
  .description(
    'Posts invented clicks: some ads are hot, some clicks are copies or out of order, and a few are minutes late.',
  )
  .option('--url <url>', 'base URL of ingest', 'http://127.0.0.1:8080')
  .option('--rate <n>', 'clicks per second', positive, 200)
  .option('--ads <n>', 'number of ads', positive, 500)
  .option('--seconds <n>', 'stop after this time (default: run until Ctrl-C)', positive)
  .action(async (given: DemoCommand) => {
    await run(given);
  });

try {
  await program.parseAsync();
} catch (error) {
  const isExpected = error instanceof ConfigError || error instanceof Retryable;
  process.stderr.write(`demo: ${isExpected || !(error instanceof Error) ? messageOf(error) : error.stack}\n`);
  process.exitCode = 1;
}

async function run({ url, rate, ads, seconds }: DemoCommand): Promise<void> {
  if (!URL.canParse(url)) throw new ConfigError(`--url ${url}: must be a URL such as http://127.0.0.1:8080`);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  const end = seconds === undefined ? undefined : setTimeout(() => stop.abort(), seconds * 1_000);
  const totals = { accepted: 0, rejected: 0, posted: 0, trouble: '' };
  const delivery = new Delivery<{ readonly json: string }>({
    post: createPoster({
      url,
      apiKey: ownKeyOf(process.env),
      giveUpAfterMs: Number.POSITIVE_INFINITY,
      stop: stop.signal,
      onRetry(reason) {
        totals.trouble = reason;
      },
    }),
    batchItems: Math.min(1_000, Math.max(1, Math.round(rate / 10))),
    concurrency: 4,
    onDelivered(_items, _posted, { accepted, rejected }) {
      totals.accepted += accepted;
      totals.rejected += rejected.length;
    },
  });
  const reporter = setInterval(() => report(totals), 1_000);
  try {
    const next = createDemoTraffic({
      ads: Math.round(ads),
      random: Math.random,
      runId: `demo-${randomBytes(6).toString('hex')}`,
    });
    const pace = ratePace(rate, stop.signal);
    process.stdout.write(`${rate} clicks/s on ${ads} ads to ${url}; Ctrl-C stops\n`);
    while (!stop.signal.aborted) {
      await pace(undefined);
      await delivery.add({ json: JSON.stringify(next(Date.now())) });
      totals.posted++;
    }
    await delivery.finish();
    report(totals);
  } finally {
    clearInterval(reporter);
    clearTimeout(end);
  }
}

function report(totals: { accepted: number; rejected: number; posted: number; trouble: string }): void {
  const trouble = totals.trouble === '' ? '' : ` · waiting: ${totals.trouble}`;
  process.stdout.write(`${totals.posted} made, ${totals.accepted} accepted, ${totals.rejected} rejected${trouble}\n`);
  totals.trouble = '';
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('must be a positive number');
  return value;
}
