/**
 * Reads a list of networks, and perhaps of user agents, as INGEST_DATACENTRE_FILE, INGEST_DENY_FILE and
 * INGEST_ALLOW_FILE name one.
 *
 *     # a comment
 *     192.0.2.0/24            # a network
 *     2001:db8::1             # an address
 *     user-agent: FooBot/     a user agent that contains this text, in capitals or not; no comment can follow
 *
 * A list is read as a whole or not at all: one bad line refuses it, because half a list would judge clicks otherwise
 * than its author thinks. A list with nothing in it, not even a comment, is refused too: so a copy looks that has failed,
 * and it would switch its rule off.
 */
import { isUtf8 } from 'node:buffer';
import { brokenRule } from '../../infra/broken-rule.ts';
import { ConfigError } from '../../infra/errors.ts';
import type { Slices } from '../../infra/slices.ts';
import { isText, limits } from '../click.ts';
import { type Network, NetworkSet, networkIn } from './network-set.ts';

export interface ValidityList {
  /** As they are written, each once. */
  readonly networks: ReadonlySet<string>;
  readonly addresses: NetworkSet;
  /** In small letters. */
  readonly userAgents: readonly string[];
}

/**
 * What a list may hold. To read 100,000 networks takes about 0.2 s of CPU, in slices between which ingest takes clicks.
 * Each text is looked for in every user agent that was not seen lately.
 */
export const listLimits = { bytes: 16 << 20, networks: 100_000, userAgents: 100, lineLength: 1_024 };
/** A shorter text would be in nearly every user agent. */
const fewestCharacters = 3;

/** `name` names the list in errors. @throws ConfigError with the number of the line */
export function* readValidityList(
  bytes: Buffer,
  name: string,
  holds: 'networks' | 'userAgentsToo',
): Slices<ValidityList> {
  const wrong = (problem: string) => new ConfigError(`${name}: ${problem}`);
  if (bytes.length > listLimits.bytes) throw wrong(`has ${bytes.length} bytes, but may have ${listLimits.bytes}`);
  if (!isUtf8(bytes)) throw wrong('must be UTF-8');
  const written = new Set<string>();
  const networks: Network[] = [];
  const userAgents: string[] = [];
  let number = 0;
  let isEmpty = true;
  for (const line of linesOf(bytes.toString())) {
    if (++number % linesInSlice === 0) yield;
    isEmpty &&= line.trim() === '';
    const at = `line ${number}`;
    if (line.length > listLimits.lineLength)
      throw wrong(`${at} has ${line.length} characters, but may have ${listLimits.lineLength}`);
    const entry = entryIn(line, holds);
    if (entry === undefined) continue;
    if ('rule' in entry) throw wrong(brokenRule(at, line.trim(), entry.rule));
    if ('userAgent' in entry) userAgents.push(entry.userAgent);
    else {
      networks.push(entry);
      written.add(entry.text);
    }
    if (networks.length > listLimits.networks || userAgents.length > listLimits.userAgents)
      throw wrong(
        `${at} is one too many: a list may have ${listLimits.networks} networks and ${listLimits.userAgents} user agents`,
      );
  }
  if (isEmpty) throw wrong('is empty, but must have a line: a list without entries says so in a comment (# …)');
  return { networks: written, addresses: yield* NetworkSet.of(networks), userAgents };
}

const linesInSlice = 500;

function* linesOf(text: string): Generator<string> {
  let start = 0;
  for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
    yield text.slice(start, end);
    start = end + 1;
  }
  yield text.slice(start);
}

type Entry = (Network & { readonly text: string }) | { readonly userAgent: string } | { readonly rule: string };

/** Returns undefined for a line without an entry. */
function entryIn(line: string, holds: 'networks' | 'userAgentsToo'): Entry | undefined {
  const userAgent = holds === 'networks' || !line.includes(':') ? null : /^\s*user-agent:(.*)$/i.exec(line);
  if (userAgent) return userAgentIn(userAgent[1]!.trim());
  const comment = line.indexOf('#');
  const text = (comment === -1 ? line : line.slice(0, comment)).trim();
  if (text === '' || text === '\ufeff') return undefined;
  const network = networkIn(text);
  return 'rule' in network ? network : { ...network, text };
}

function userAgentIn(text: string): Entry {
  const isRight = isText(text, limits.userAgentLength) && text.length >= fewestCharacters;
  if (isRight) return { userAgent: text.toLowerCase() };
  return { rule: `must have ${fewestCharacters} to ${limits.userAgentLength} characters behind user-agent:` };
}
