/**
 * Defines where a click link may lead: an absolute http or https URL without user or password, in the characters that URLs
 * have. What is longer, or has others, is percent-encoded differently by each program, and a browser may read it as
 * another address than we do (`https:/\evil.example`).
 */
export const maxDestinationLength = 2_048;

/** Without `@` before the path, so without user and password. */
const form = /^https?:\/\/[A-Za-z0-9.:[\]_-]+(?:[/?#][A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]*)?$/;

export const destinationRule = `must be an absolute http or https URL of at most ${maxDestinationLength} characters, percent-encoded, without user and password`;

export function isDestination(text: string): boolean {
  return text.length <= maxDestinationLength && form.test(text) && URL.canParse(text);
}
