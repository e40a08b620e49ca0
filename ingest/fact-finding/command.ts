/** `adclicks lists`: shows what a new list of networks would change, before it is put in place. Nothing is asked over the net. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Command, InvalidArgumentError } from 'commander';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import { atOnce } from '../../infra/slices.ts';
import { isAddress } from '../click-body.ts';
import { isListed, type ListDiff, type ListedClick, listDiff } from './list-diff.ts';
import { readValidityList, type ValidityList } from './validity-list.ts';

interface Given {
  readonly clicks?: string;
  readonly show: number;
  readonly json: boolean;
}

export function listsCommand(): Command {
  return new Command('lists')
    .description('Looks at lists of networks and user agents, by which ingest finds the facts of clicks.')
    .addCommand(diffCommand());
}

function diffCommand(): Command {
  return new Command('diff')
    .description(
      'Shows what a new list would change: networks and user agents that are added and removed, the number of addresses that are covered, and, with clicks, how many of them are on each list. The exit code is 1 if ingest would refuse one of the lists.',
    )
    .argument('<old>', 'the list that is in force')
    .argument('<new>', 'the list that would take its place')
    .option(
      '--clicks <file>',
      'a file of clicks, each a line of JSON with `ip` or `user_agent`, as an export in NDJSON has them',
    )
    .option('--show <n>', 'how many entries are shown of each kind', wholeNumber, 20)
    .option('--json', 'print one object of JSON', false)
    .action(async (oldPath: string, newPath: string, given: Given) => {
      const [before, after] = [await listIn(oldPath), await listIn(newPath)];
      const clicks = given.clicks === undefined ? undefined : await countClicks(given.clicks, before, after);
      const diff = listDiff(before, after);
      process.stdout.write(`${given.json ? asJson(diff, clicks) : asText(diff, clicks, given.show)}\n`);
    });
}

interface ClickCounts {
  clicks: number;
  /** Lines without an address and a user agent that could be on a list. */
  unknown: number;
  before: number;
  after: number;
  newlyListed: number;
  noLongerListed: number;
}

/** @throws ConfigError when the file cannot be read */
async function countClicks(path: string, before: ValidityList, after: ValidityList): Promise<ClickCounts> {
  const counts: ClickCounts = { clicks: 0, unknown: 0, before: 0, after: 0, newlyListed: 0, noLongerListed: 0 };
  try {
    for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line.trim() === '') continue;
      counts.clicks++;
      const click = clickIn(line);
      if (click === undefined) {
        counts.unknown++;
        continue;
      }
      const [was, is] = [isListed(before, click), isListed(after, click)];
      if (was) counts.before++;
      if (is) counts.after++;
      if (is && !was) counts.newlyListed++;
      if (was && !is) counts.noLongerListed++;
    }
  } catch (error) {
    throw new ConfigError(`--clicks ${path}: cannot be read (${messageOf(error)})`, { cause: error });
  }
  return counts;
}

function clickIn(line: string): ListedClick | undefined {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null) return undefined;
  const { ip, user_agent: userAgent } = json as Readonly<Record<string, unknown>>;
  const click = {
    ip: isAddress(ip) ? ip : undefined,
    userAgent: typeof userAgent === 'string' && userAgent !== '' ? userAgent : undefined,
  };
  return click.ip === undefined && click.userAgent === undefined ? undefined : click;
}

function asText({ added, removed, before, after }: ListDiff, clicks: ClickCounts | undefined, show: number): string {
  const shown = (title: string, sign: string, entries: readonly string[]) => [
    `${title}: ${entries.length}`,
    ...entries.slice(0, show).map(entry => `  ${sign} ${entry}`),
    ...(entries.length > show ? [`  … and ${entries.length - show} more (--show)`] : []),
  ];
  return [
    ...shown('added', '+', added),
    ...shown('removed', '-', removed),
    `IPv4 addresses covered: ${before.ipv4} before, ${after.ipv4} after`,
    `IPv6 addresses covered: ${inPowers(before.ipv6)} before, ${inPowers(after.ipv6)} after`,
    ...(clicks === undefined
      ? []
      : [
          `clicks: ${clicks.clicks}, of which ${clicks.unknown} have neither address nor user agent`,
          `on the list: ${clicks.before} before, ${clicks.after} after (${clicks.newlyListed} more, ${clicks.noLongerListed} fewer)`,
        ]),
  ].join('\n');
}

/** Nobody reads 39 digits: networks of IPv6 are told by their /64, which is the network of one customer or machine. */
function inPowers(addresses: bigint): string {
  const networks = addresses >> 64n;
  return networks > 0n ? `${networks} times a /64` : `${addresses}`;
}

function asJson({ added, removed, before, after }: ListDiff, clicks: ClickCounts | undefined): string {
  const covered = (part: { readonly ipv4: number; readonly ipv6: bigint }) => ({
    ipv4: part.ipv4,
    // More than a number of JSON can say.
    ipv6: part.ipv6.toString(),
  });
  const ofClicks = clicks && {
    clicks: clicks.clicks,
    unknown: clicks.unknown,
    listed_before: clicks.before,
    listed_after: clicks.after,
    newly_listed: clicks.newlyListed,
    no_longer_listed: clicks.noLongerListed,
  };
  return JSON.stringify({
    added,
    removed,
    covered_before: covered(before),
    covered_after: covered(after),
    clicks: ofClicks,
  });
}

/** @throws ConfigError */
async function listIn(path: string): Promise<ValidityList> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read (${messageOf(error)})`, { cause: error });
  }
  return atOnce(readValidityList(bytes, path, 'userAgentsToo'));
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 0 && value <= 100_000))
    throw new InvalidArgumentError('must be a whole number from 0 to 100000');
  return value;
}
