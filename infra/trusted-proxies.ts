/**
 * Finds the client of a request when proxies stand in front. Each proxy adds to `X-Forwarded-For` the address that it
 * was reached from. So the end of that list is what our own proxies have seen, and the beginning is whatever the client
 * wrote. It is read from its end, only as far as proxies are configured.
 */
import { BlockList, isIP } from 'node:net';
import { plainAddress } from './client-network.ts';
import { ConfigError } from './errors.ts';

export interface TrustedProxies {
  /** Whether a peer at this address may say which client it speaks for. */
  trusts(address: string): boolean;
  /** Returns the client's address: the first one from the end of the list that is not a trusted proxy. */
  clientOf(remoteAddress: string, forwardedFor: string | undefined): string;
  /** The same, or undefined where only proxies are known, and not who is behind them. */
  knownClientOf(remoteAddress: string, forwardedFor: string | undefined): string | undefined;
}

/** Nobody may say which client he speaks for. */
export const noProxies: TrustedProxies = {
  trusts: () => false,
  clientOf: remoteAddress => remoteAddress,
  knownClientOf: remoteAddress => remoteAddress,
};

/** At most this many entries are read. A longer list than any chain of proxies was made by the client itself. */
const maxProxies = 16;

/**
 * `setting` is `false`, a number of proxies, or addresses and CIDRs of proxies, separated by commas. @throws
 * ConfigError naming `variable`, the given value and the rule
 */
export function trustedProxies(variable: string, setting: string): TrustedProxies {
  const text = setting.trim();
  if (text === 'false' || text === '0') return noProxies;
  const wrong = (rule: string) => new ConfigError(`${variable}=${JSON.stringify(setting)}: ${rule}`);
  if (text === 'true') {
    throw wrong(
      'would let every client choose the address by which it is limited: give the number of proxies in front (for example 1), or their addresses or CIDRs',
    );
  }
  if (/^\d+$/.test(text)) {
    const hops = Number(text);
    if (hops > maxProxies) throw wrong(`must be at most ${maxProxies} proxies`);
    return byHops(hops);
  }
  return byAddress(listOf(text, wrong));
}

/** There are this many proxies in front. The peer that connects is the last of them, whatever its address. */
function byHops(hops: number): TrustedProxies {
  return { trusts: () => true, ...walking((_, seen) => seen < hops) };
}

function byAddress(list: BlockList): TrustedProxies {
  const trusts = (address: string) => {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
  };
  return { trusts, ...walking((address, seen) => seen < maxProxies && trusts(address)) };
}

function walking(isProxy: IsProxy): Pick<TrustedProxies, 'clientOf' | 'knownClientOf'> {
  return {
    clientOf: (remoteAddress, forwardedFor) => walk(remoteAddress, forwardedFor, isProxy).client,
    knownClientOf(remoteAddress, forwardedFor) {
      const { client, seen } = walk(remoteAddress, forwardedFor, isProxy);
      return isProxy(client, seen) ? undefined : client;
    },
  };
}

/** `seen` of those who named the next were proxies already. */
type IsProxy = (address: string, seen: number) => boolean;

/** Goes from the connecting peer towards the client while `isProxy` accepts the one who named the next. */
function walk(
  remoteAddress: string,
  forwardedFor: string | undefined,
  isProxy: IsProxy,
): { readonly client: string; readonly seen: number } {
  let client = remoteAddress;
  let end = forwardedFor?.length ?? 0;
  let seen = 0;
  for (; end > 0 && isProxy(client, seen); seen++) {
    const comma = forwardedFor!.lastIndexOf(',', end - 1);
    const said = addressIn(forwardedFor!.slice(comma + 1, end));
    // The entry is not an address: a proxy that does not know it, or something that is no proxy. Nobody behind it is
    // believed.
    if (said === undefined) break;
    client = said;
    end = comma;
  }
  return { client, seen };
}

/** Some proxies add the port, with brackets around an IPv6 address. */
function addressIn(entry: string): string | undefined {
  const text = entry.trim();
  if (isIP(text) !== 0) return plainAddress(text);
  const address = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1];
  return address !== undefined && isIP(address) !== 0 ? plainAddress(address) : undefined;
}

function listOf(text: string, wrong: (rule: string) => ConfigError): BlockList {
  const list = new BlockList();
  for (const entry of text.split(',').map(each => each.trim())) {
    const [address = '', bits, ...more] = entry.split('/');
    const family = isIP(address);
    const isCidr = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
    if (family === 0 || !isCidr || more.length > 0) {
      throw wrong(
        `must be \`false\`, a number of proxies, or addresses or CIDRs separated by commas (${JSON.stringify(entry)} is not one of these)`,
      );
    }
    const kind = family === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, kind);
    else list.addSubnet(address, Number(bits), kind);
  }
  return list;
}
