/**
 * Makes a click link that cannot be decoded one that can, so that it is refused like all others that are not right: a
 * link whose ad was cut within a `%41` is a link that was altered.
 */

/** Returns every other address as it is. */
export function linkAddressOf(url: string): string {
  if (!url.startsWith('/c/')) return url;
  const end = url.indexOf('?');
  const path = end === -1 ? url : url.slice(0, end);
  if (!path.includes('%') || canBeDecoded(path)) return url;
  // The ad is the text as it was sent. It has a `%`, so it is the id of no ad.
  return path.replaceAll('%', '%25') + url.slice(path.length);
}

function canBeDecoded(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
