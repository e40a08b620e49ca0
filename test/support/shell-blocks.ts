/** A document's shell blocks and what they are said to print. Pure. */
export interface ShellBlock {
  readonly script: string;
  /** Undefined where nothing is shown. */
  readonly shown: string | undefined;
}

/** Blocks fenced as `sh`, each with the bare block right after it, if there is one. */
export function shellBlocksOf(markdown: string): ShellBlock[] {
  const blocks = markdown.matchAll(/^```sh\n([\s\S]*?)^```\n(?:\n```\n([\s\S]*?)^```\n)?/gm);
  return [...blocks].map(([, script = '', shown]) => ({ script, shown }));
}

/** `…` stands for anything in a line; alone in its line, for any lines. How columns are filled up does not matter. */
export function isAsShown(printed: string, shown: string): boolean {
  const pattern = linesOf(shown)
    .map(line => (line === '…' ? '(?:.*\\n)*' : `${line.split('…').map(literal).join('.*')}\\n`))
    .join('');
  return new RegExp(`^${pattern}$`).test(`${linesOf(printed).join('\n')}\n`);
}

function linesOf(text: string): string[] {
  return text
    .trim()
    .split('\n')
    .map(line => line.trim().replace(/ +/g, ' '));
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
