/**
 * Makes the referrer of a click of the address of a page: its origin alone, as `https://page.example` or with a port.
 * The rest of the address may say what a person reads or searches.
 */
import { limits } from './click.ts';

/** Returns undefined where the address is none of a page on the web, or is too long. */
export function originOf(address: unknown): string | undefined {
  if (typeof address !== 'string' || address.length > mostCharacters) return undefined;
  const plain = usual.exec(address)?.[1];
  const origin = plain ?? unusual(address);
  return origin !== undefined && origin.length <= limits.referrerLength ? origin : undefined;
}

const mostCharacters = 2_048;
export const referrerRule = `must be an address of a page with http or https, of at most ${mostCharacters} characters`;

/** The origin of these is their beginning as it stands: `URL` would change nothing in it. It takes ten times as long. */
const usual = /^(https?:\/\/(?:(?!xn--)[a-z0-9-]+\.)+[a-z]{2,})(?:[/?#]|$)/;

function unusual(address: string): string | undefined {
  const url = URL.parse(address);
  return url?.protocol === 'http:' || url?.protocol === 'https:' ? url.origin : undefined;
}
