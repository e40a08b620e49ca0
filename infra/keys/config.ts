/** Defines when API keys are needed: the setting, and what follows from the address that a process listens on. */
import { isIP } from 'node:net';
import { type Static, Type } from 'typebox';
import type { ProcessConfig } from '../config.ts';
import { ConfigError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { isUsable, type Key } from './key-book.ts';
import { RegionConfig } from './region.ts';
import { isAllowed, type Scope } from './scopes.ts';

export const KeysConfig = Type.Object({
  API_KEYS: Type.Union([Type.Literal('auto'), Type.Literal('required'), Type.Literal('off')], {
    default: 'auto',
    description:
      'which requests need an API key. `auto`: all, if `HOST` is beyond loopback; on loopback none, but a key that is sent must be right. `required`: all, on loopback too, which is right behind a proxy on the same machine. `off`: none, and keys are not checked, which is right only behind a gateway that checks access. Requests that need scope `admin` or `ingest:public` always need a key',
  }),
  ...RegionConfig.properties,
});

export type KeySettings = Pick<Static<typeof KeysConfig>, 'API_KEYS'> & Pick<ProcessConfig, 'HOST'>;

/** `optional`: a request without a key is answered, one with a wrong key is not. */
export type KeyMode = 'required' | 'optional' | 'off';

/**
 * Decides by the address on which the process listens. The address of a client says nothing, because behind a proxy on
 * this machine all clients seem to come from loopback.
 */
export function keyModeOf({ API_KEYS, HOST }: KeySettings): KeyMode {
  if (API_KEYS === 'off') return 'off';
  return API_KEYS === 'required' || !isLoopback(HOST) ? 'required' : 'optional';
}

/** Warns in the log that this process does not check who sends a request. */
export function tellKeyMode({ API_KEYS, HOST }: KeySettings, log: Logger): void {
  if (API_KEYS !== 'off') return;
  log.warn(
    { host: HOST },
    'API_KEYS=off: API keys are not checked, so whoever reaches this process may do everything except make keys',
  );
}

/** Any name other than localhost counts as beyond loopback, because it may get another address later. */
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
    `HOST=${HOST}: listens beyond loopback, where requests need API keys (API_KEYS=${API_KEYS}), and there is no usable key with scope ${[...fitting, 'admin'].join(' or ')}: make the first one with \`adclicks-server keys create --scope admin\` while the brokers run (those of npm start run while it listens on loopback), or set API_KEYS=off if a gateway of your own checks access`,
  );
}
