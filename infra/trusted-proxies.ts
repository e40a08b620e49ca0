/**
 * Finds the client of a request when proxies stand in front. Each proxy adds to `X-Forwarded-For` the address that it
 * was reached from. So the end of that list is what our own proxies have seen, and the beginning is whatever the client
 * wrote. It is read from its end, only as far as proxies are configured.
 */
import { BlockList, isIP } from 'node:net';
import { plainAddress } from './client-network.ts';
import { ConfigError } from './errors.ts';

export interface TrustedProxies {
  /** Whether who connects from there may say for whom. */
  trusts(address: string): boolean;
  /** The client's address: that of the first from the end which is no trusted proxy. */
  clientOf(remoteAddress: string, forwardedFor: string | undefined): string;
}

/** Nobody says for whom he asks. */
export const noProxies: TrustedProxies = { trusts: () => false, clientOf: remoteAddress => remoteAddress };

/** A list that is longer than any chain of proxies is the client's own work: so much of it is read. */
const maxProxies = 16;

/**
 * `setting` is `false`, a number of proxies, or addresses and CIDRs of proxies, comma-separated.
 * @throws ConfigError naming `variable`, what was given and the rule
 */
export function trustedProxies(variable: string, setting: string): TrustedProxies {
  const text = setting.trim();
  if (text === 'false' || text === '0') return noProxies;
  const wrong = (rule: string) => new ConfigError(`${variable}=${JSON.stringify(setting)}: ${rule}`);
  if (text === 'true') {
    throw wrong(
      'would let every client choose the address that it is limited by; give the number of proxies in front (1, say), or their addresses or CIDRs',
    );
  }
  if (/^\d+$/.test(text)) {
    const hops = Number(text);
    if (hops > maxProxies) throw wrong(`must be at most ${maxProxies} proxies`);
    return byHops(hops);
  }
  return byAddress(listOf(text, wrong));
}

/** So many proxies in front: who connects is the last of them, whatever its address. */
function byHops(hops: number): TrustedProxies {
  return {
    trusts: () => true,
    clientOf: (remoteAddress, forwardedFor) => walk(remoteAddress, forwardedFor, (_, seen) => seen < hops),
  };
}

function byAddress(list: BlockList): TrustedProxies {
  const trusts = (address: string) => {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && list.check(plain, family === 6 ? 'ipv6' : 'ipv4');
  };
  return {
    trusts,
    clientOf: (remoteAddress, forwardedFor) =>
      walk(remoteAddress, forwardedFor, (address, seen) => seen < maxProxies && trusts(address)),
  };
}

/** From who connects towards the client, as long as `isProxy` holds of who said the next; `seen` were proxies already. */
function walk(
  remoteAddress: string,
  forwardedFor: string | undefined,
  isProxy: (address: string, seen: number) => boolean,
): string {
  let client = remoteAddress;
  let end = forwardedFor?.length ?? 0;
  for (let seen = 0; end > 0 && isProxy(client, seen); seen++) {
    const comma = forwardedFor!.lastIndexOf(',', end - 1);
    const said = addressIn(forwardedFor!.slice(comma + 1, end));
    // A proxy that does not know, or something that is none: no address, and nobody behind it is believed.
    if (said === undefined) break;
    client = said;
    end = comma;
  }
  return client;
}

/** Some proxies add the port, with brackets around an address of IPv6. */
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
        `must be \`false\`, a number of proxies, or addresses or CIDRs, comma-separated (${JSON.stringify(entry)} is none)`,
      );
    }
    const kind = family === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, kind);
    else list.addSubnet(address, Number(bits), kind);
  }
  return list;
}
