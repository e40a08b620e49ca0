/** Defines when API keys are needed: the setting, and what follows from the address that a process listens on. */
import { isIP } from 'node:net';
import { type Static, Type } from 'typebox';
import type { ProcessConfig } from '../config.ts';
import { ConfigError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { isUsable, type Key } from './key-book.ts';
import { isAllowed, type Scope } from './scopes.ts';

export const KeysConfig = Type.Object({
  API_KEYS: Type.Union([Type.Literal('auto'), Type.Literal('required'), Type.Literal('off')], {
    default: 'auto',
    description:
      'who needs an API key. `auto`: everybody, if `HOST` is beyond loopback; on loopback nobody, but a key that is sent must be right. `required`: everybody, also on loopback, as behind a proxy on the same machine. `off`: nobody, and none is looked at, for who has a gateway of his own in front. What needs scope `admin` always needs a key',
  }),
});

export type KeySettings = Static<typeof KeysConfig> & Pick<ProcessConfig, 'HOST'>;

/** `optional`: a request without a key is answered, one with a wrong key is not. */
export type KeyMode = 'required' | 'optional' | 'off';

/**
 * Goes by what the process listens on. The address of a client says nothing: behind a proxy on this machine all the world
 * comes from loopback.
 */
export function keyModeOf({ API_KEYS, HOST }: KeySettings): KeyMode {
  if (API_KEYS === 'off') return 'off';
  return API_KEYS === 'required' || !isLoopback(HOST) ? 'required' : 'optional';
}

/** Who runs a process should find in its log that it asks nobody who he is. */
export function tellKeyMode({ API_KEYS, HOST }: KeySettings, log: Logger): void {
  if (API_KEYS !== 'off') return;
  log.warn(
    { host: HOST },
    'API_KEYS=off: no API key is looked at, whoever reaches this process may do all but make keys',
  );
}

/** A name other than localhost may come to mean another address, so it counts as beyond. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (isIP(name) === 4) return name.startsWith('127.');
  return name === 'localhost' || name === '::1' || /^::ffff:127\.\d+\.\d+\.\d+$/.test(name);
}

/**
 * Beyond loopback a process does not serve if nobody could use it. `fitting`: scopes with which something can be asked of it.
 * @throws ConfigError
 */
export function requireUsableKey(
  settings: KeySettings,
  keys: readonly Key[],
  fitting: readonly Scope[],
  now: number,
): void {
  const { HOST, API_KEYS } = settings;
  if (keyModeOf(settings) !== 'required' || isLoopback(HOST)) return;
  const fits = ({ created }: Key) => fitting.some(scope => isAllowed(created.scopes, scope));
  if (keys.some(key => fits(key) && isUsable(key, now))) return;
  throw new ConfigError(
    `HOST=${HOST}: listens beyond loopback, where requests need API keys (API_KEYS=${API_KEYS}), and there is no usable key with scope ${[...fitting, 'admin'].join(' or ')}: make the first one with \`adclicks-server keys create --scope admin\`, or set API_KEYS=off if a gateway of your own decides who may come in`,
  );
}
