/** `adclicks link`: makes click links from a key file, on the machine where the file is. Nothing is asked over the net. */
import { readFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { brokenRule } from '../../infra/broken-rule.ts';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import { atOnce } from '../../infra/slices.ts';
import { createClickIdMint } from '../click-id.ts';
import { checkLink } from './link-check.ts';
import { type LinkKey, type LinkKeys, readLinkKeys } from './link-keys.ts';
import { linkOf } from './link-text.ts';

interface Given {
  readonly keys: string;
  readonly key?: string;
  readonly to?: string;
  readonly eventId?: string;
  readonly expiresInHours: number;
  readonly count: number;
  readonly ingestUrl: string;
  readonly json: boolean;
}

export function linkCommand(): Command {
  return new Command('link')
    .description(
      'Makes click links, which count a click and redirect to a destination. A link is signed with a key of the key file of ingest. Its click counts once, in the minute in which the link was made.',
    )
    .argument('<ad_id>', 'the ad')
    .requiredOption('--keys <file>', 'the key file, as INGEST_LINK_KEYS_FILE of ingest')
    .option('--key <id>', 'the key to sign with (default: the first one of the file that is in force and for the ad)')
    .option('--to <url>', 'destination (default: the one of the ad in the key file)')
    .option('--event-id <id>', 'identity of the click (default: a new one for each link)')
    .option('--expires-in-hours <n>', 'how long the link is valid, at most 168', hours, 24)
    .option('--count <n>', 'number of links, each with an event id of its own', wholeNumber, 1)
    .addOption(
      new Option('--ingest-url <url>', 'the base URL of ingest, as browsers reach it')
        .env('ADCLICKS_INGEST_URL')
        .default('http://127.0.0.1:8080'),
    )
    .option('--json', 'print each link as a line of JSON, with its parts', false)
    .addHelpText(
      'after',
      `
A new key file, with one key:
  echo '{"keys": [{"id": "2026-11", "secret": "'$(openssl rand -base64 32 | tr '+/' '-_' | tr -d '=')'"}]}' > link-keys.json

Example:
  adclicks link ad-42 --keys link-keys.json --to https://shop.example/shoes`,
    )
    .action(async (adId: string, given: Given) => {
      const keys = await keysIn(given.keys);
      const key = keyFor(keys, given, adId, Date.now());
      if (given.eventId !== undefined && given.count > 1)
        throw new ConfigError(
          brokenRule('--count', given.count, 'must be 1 with --event-id: the links would be one click'),
        );
      const lines: string[] = [];
      for (let i = 0; i < given.count; i++) lines.push(printed(made(keys, key, adId, given), given));
      process.stdout.write(`${lines.join('\n')}\n`);
    });
}

interface MadeLink {
  readonly link: string;
  readonly ad_id: string;
  readonly event_id: string;
  readonly clicked_at: string;
  readonly expires_at: string;
  readonly destination: string;
}

const mint = createClickIdMint();

/** A link that ingest would refuse is not given out. @throws ConfigError */
function made(keys: LinkKeys, key: LinkKey, adId: string, given: Given): MadeLink {
  const now = Date.now();
  const madeAt = Math.floor(now / 1_000);
  const expiresAt = madeAt + Math.round(given.expiresInHours * 3_600);
  const eventId = given.eventId ?? mint(now);
  const path = linkOf(key.secret, {
    ...{ adId, eventId, keyId: key.id, destination: given.to ?? '' },
    madeAt: `${madeAt}`,
    expiresAt: `${expiresAt}`,
  });
  const verdict = checkLink(keys, adId, Object.fromEntries(new URL(path, given.ingestUrl).searchParams), now);
  if (!verdict.ok) throw new ConfigError(`ingest would refuse this link: ${verdict.detail}`);
  return {
    link: `${given.ingestUrl.replace(/\/+$/, '')}${path}`,
    ad_id: adId,
    event_id: eventId,
    clicked_at: new Date(madeAt * 1_000).toISOString(),
    expires_at: new Date(expiresAt * 1_000).toISOString(),
    destination: verdict.destination,
  };
}

function printed(link: MadeLink, { json }: Given): string {
  return json ? JSON.stringify(link) : link.link;
}

async function keysIn(path: string): Promise<LinkKeys> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new ConfigError(`--keys ${path}: cannot be read (${messageOf(error)})`, { cause: error });
  }
  return atOnce(readLinkKeys(bytes, `--keys ${path}`));
}

/** @throws ConfigError */
function keyFor({ keys }: LinkKeys, { key: id, keys: path }: Given, adId: string, now: number): LinkKey {
  if (id !== undefined) {
    const key = keys.get(id);
    if (key === undefined) throw new ConfigError(brokenRule('--key', id, `must be the id of a key in ${path}`));
    return key;
  }
  const fits = ({ notBefore, notAfter, adIdPrefix }: LinkKey) =>
    now >= notBefore && now < notAfter && adId.startsWith(adIdPrefix);
  const key = [...keys.values()].find(fits);
  if (key === undefined) throw new ConfigError(`${path} has no key that is in force and for ad ${adId}`);
  return key;
}

function hours(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 168)) throw new InvalidArgumentError('must be more than 0 and at most 168');
  return value;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 1 && value <= 1_000_000))
    throw new InvalidArgumentError('must be a whole number from 1 to 1000000');
  return value;
}
