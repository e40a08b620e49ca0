/**
 * Makes the script that pages load out of its readable source (click.js): the same code without comments and indentation.
 *
 * It is made when ingest starts, so the two cannot differ, and nothing has to be built or kept twice. A minifier would
 * make it a fifth shorter, and nobody could read it where it is used. A test compares what both mean.
 */
import { readFileSync } from 'node:fs';

export function servedSnippet(): string {
  const source = readFileSync(new URL('./click.js', import.meta.url), 'utf8');
  const lines = source.split('\n').map(line => line.trim());
  return `${lines.filter(line => line !== '' && !isComment(line)).join('\n')}\n`;
}

/** Comments have lines of their own there, and no text of the code has several. */
function isComment(line: string): boolean {
  return /^(\/\/|\/\*|\*)/.test(line);
}
