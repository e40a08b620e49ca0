/**
 * Finds the facts of a click (facts.ts) by its address, its user agent and its purpose, as they are before anything of
 * them is cut or hashed.
 *
 * What a user agent says is remembered, because isbot compares it with hundreds of patterns (about 20 µs), and most
 * clicks have one of few user agents. The whole text is the key: robots write their name at its end.
 */
import { isbot } from 'isbot';
import { counter } from '../../infra/metrics.ts';
import { atOnce } from '../../infra/slices.ts';
import { type Fact, facts } from '../validity/facts.ts';
import { addressOf } from './address.ts';
import { NetworkSet, networkIn } from './network-set.ts';
import type { ValidityList } from './validity-list.ts';

/** The lists in force. Each is another object after a change. Left out: there is no such list. */
export interface FactLists {
  readonly datacentre?: (() => ValidityList) | undefined;
  readonly deny?: (() => ValidityList) | undefined;
  readonly allow?: (() => ValidityList) | undefined;
}

export class FactFinder {
  /** How many user agents were looked at because they were not remembered. Whoever divides work sets it to 0. */
  looks = 0;
  readonly #lists: FactLists;
  #younger = new Map<string, number>();
  #elder = new Map<string, number>();
  #deny: ValidityList | undefined;
  #allow: ValidityList | undefined;

  constructor(lists: FactLists = {}) {
    this.#lists = lists;
  }

  /** `isOfBrowser`: a browser has sent the click itself, so it bears what browsers send. */
  factsOf(
    ip: string | undefined,
    userAgent: string | undefined,
    purpose: string | undefined,
    isOfBrowser = false,
  ): number {
    let found = 0;
    if (ip !== undefined) found |= this.#ofAddress(ip);
    if (userAgent !== undefined) found |= this.#ofUserAgent(userAgent);
    else if (isOfBrowser) found |= facts.missing.bit;
    if (purpose !== undefined) found |= facts.prefetch.bit;
    if (found !== 0) note(found);
    return found;
  }

  #ofAddress(ip: string): number {
    const { datacentre, deny, allow } = this.#lists;
    const address = addressOf(ip);
    let found = impossible.has(address) ? facts.impossible.bit : 0;
    if (datacentre?.().addresses.has(address)) found |= facts.datacentre.bit;
    if (deny?.().addresses.has(address)) found |= facts.denied.bit;
    if (allow?.().addresses.has(address)) found |= facts.allowed.bit;
    return found;
  }

  #ofUserAgent(userAgent: string): number {
    const deny = this.#lists.deny?.();
    const allow = this.#lists.allow?.();
    if (deny !== this.#deny || allow !== this.#allow) {
      this.#deny = deny;
      this.#allow = allow;
      this.#younger.clear();
      this.#elder.clear();
    }
    const remembered = this.#younger.get(userAgent);
    if (remembered !== undefined) return remembered;
    const found = this.#elder.get(userAgent) ?? this.#look(userAgent);
    if (this.#younger.size === mostRemembered) {
      this.#elder = this.#younger;
      this.#younger = new Map();
    }
    this.#younger.set(userAgent, found);
    return found;
  }

  #look(userAgent: string): number {
    this.looks++;
    let found = isbot(userAgent) ? facts.bot.bit : 0;
    if (contains(this.#deny, userAgent)) found |= facts.denied.bit;
    if (contains(this.#allow, userAgent)) found |= facts.allowed.bit;
    return found;
  }
}

/** There are two generations of this many. One that nobody asked for while the younger one filled up is forgotten. */
export const mostRemembered = 8_192;

function contains(list: ValidityList | undefined, userAgent: string): boolean {
  if (list === undefined || list.userAgents.length === 0) return false;
  const text = userAgent.toLowerCase();
  return list.userAgents.some(part => text.includes(part));
}

/** Unspecified, loopback, multicast and broadcast addresses. No click comes from one. */
const impossible = atOnce(
  NetworkSet.of(['0.0.0.0', '127.0.0.0/8', '224.0.0.0/4', '255.255.255.255', '::', '::1', 'ff00::/8'].map(known)),
);

function known(text: string) {
  const network = networkIn(text, { ipv4: 4, ipv6: 8 });
  if ('rule' in network) throw new Error(`${text} ${network.rule}`);
  return network;
}

function note(found: number): void {
  for (const [fact, { bit }] of all) if ((found & bit) !== 0) noted.inc({ fact });
}

const all = Object.entries(facts) as [Fact, (typeof facts)[Fact]][];
const noted = counter('click_facts_total', 'Facts that were found about clicks, by which invalid clicks are told', [
  'fact',
]);
for (const [fact] of all) noted.inc({ fact }, 0);
