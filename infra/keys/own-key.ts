/**
 * Takes the API key of a program that sends requests from its environment. A malformed key
 * is reported here, without being shown, because the error of whatever builds the request would show it.
 */
import { ConfigError } from '../errors.ts';
import { parseKeyText } from './key-text.ts';

const ownKeyVariable = 'ADCLICKS_API_KEY';

/** Returns undefined if none is given. @throws ConfigError */
export function ownKeyOf(env: NodeJS.ProcessEnv): string | undefined {
  const text = env[ownKeyVariable]?.trim();
  if (text === undefined || text === '') return undefined;
  if (parseKeyText(text) !== undefined) return text;
  throw new ConfigError(`${ownKeyVariable}: must be an API key, whole, as it was shown when it was made`);
}
