/**
 * Refuses requests whose `Host` is not a name of this server.
 *
 * Any web page can let its own name point to 127.0.0.1 and then call this server under that name (DNS rebinding), and
 * no rule of browsers between sites stops it. But its name is in `Host`. So only these names are answered: those of
 * loopback, the one that the server listens on, the address at which the connection came in, and those in
 * `ALLOWED_HOSTS`. Ports do not matter, because a page cannot choose the port in `Host` other than by where it
 * connects.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { brokenRule } from './broken-rule.ts';
import { plainAddress } from './client-network.ts';
import { ConfigError } from './errors.ts';
import { Problem } from './problem.ts';

export interface HostSettings {
  readonly HOST: string;
  readonly ALLOWED_HOSTS: string;
}

/** Returns why a request is not for this server, or undefined. */
export type HostCheck = (request: IncomingMessage) => Problem | undefined;

/** @throws ConfigError for a value that is not a host */
export function createHostCheck({ HOST, ALLOWED_HOSTS }: HostSettings): HostCheck {
  const allowed = ALLOWED_HOSTS.split(',')
    .map(each => normal(each.trim()))
    .filter(Boolean);
  const wrong = allowed.find(
    each => each !== '*' && isIP(each) === 0 && !/^\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(each),
  );
  if (wrong !== undefined) {
    throw new ConfigError(
      `ALLOWED_HOSTS=${JSON.stringify(ALLOWED_HOSTS)}: must be names or addresses without ports, separated by commas, \`.example.com\` for all names below it, or \`*\` (${JSON.stringify(wrong)} is not one of these)`,
    );
  }
  if (allowed.includes('*')) return () => undefined;
  const names = new Set([...loopback, normal(HOST), ...allowed.filter(each => !each.startsWith('.'))]);
  const suffixes = allowed.filter(each => each.startsWith('.'));
  /** Hosts as they were sent, with their ports, because most requests are for one of a few. */
  const seen = new Set<string>();

  return ({ headers: { host = '' }, socket }) => {
    if (seen.has(host)) return undefined;
    const name = nameIn(host);
    if (name !== undefined) {
      if (names.has(name) || suffixes.some(suffix => name.endsWith(suffix) && name.length > suffix.length)) {
        if (seen.size < maxSeen) seen.add(host);
        return undefined;
      }
      if (isIP(name) !== 0 && name === plainAddress(socket.localAddress ?? '')) return undefined;
    }
    return unknownHost(host);
  };
}

const loopback = ['localhost', '127.0.0.1', '::1'];
const maxSeen = 64;

/** Returns the name without port and brackets, or undefined if it is not a host. */
function nameIn(host: string): string | undefined {
  const [, address, name] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]@/\s]+))(?::\d{0,5})?$/i.exec(host) ?? [];
  const found = address ?? name;
  return found === undefined ? undefined : normal(found);
}

function normal(name: string): string {
  const text = name.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  return text.length > 1 && text.endsWith('.') ? text.slice(0, -1) : text;
}

function unknownHost(host: string): Problem {
  const value = host.length > 100 ? `${host.slice(0, 100)}…` : host;
  const rule =
    'must be localhost, 127.0.0.1, [::1], the address on which the server listens, or a name in ALLOWED_HOSTS';
  return new Problem(421, 'unknown_host', brokenRule('host', value, rule), { field: 'host', value, rule });
}
