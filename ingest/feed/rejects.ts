/** Tells of rejected rows: the first few on stderr, all of them in a file where one is wanted. */
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Row } from './row.ts';

export interface Reject {
  readonly row: Row;
  readonly code: string;
  readonly message: string;
}

export interface Rejects extends AsyncDisposable {
  add(path: string, reject: Reject): void;
}

const maxShown = 10;

/** The file is added to, one JSON object per row. */
export function createRejects(rejectsPath: string | undefined, say: (text: string) => void): Rejects {
  const file = rejectsPath === undefined ? undefined : createWriteStream(rejectsPath, { flags: 'a' });
  let failure: Error | undefined;
  file?.on('error', error => {
    failure = error;
  });
  let count = 0;
  return {
    add(path, { row, code, message }) {
      if (failure) throw failure;
      count++;
      if (count <= maxShown) say(`${path}:${row.line}: ${message}`);
      if (count === maxShown + 1)
        say(file ? `more rejected rows: see ${rejectsPath}` : 'more rejected rows; --rejects FILE keeps them all');
      file?.write(`${JSON.stringify({ file: path, line: row.line, code, message, row: row.raw })}\n`);
    },
    async [Symbol.asyncDispose]() {
      if (!file || failure) return;
      file.end();
      await finished(file);
    },
  };
}
