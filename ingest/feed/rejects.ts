/**
 * Reports rejected rows: the first few on stderr, and all of them in a file if one is given. That file has the rows as
 * they were in the source, after the line that names the columns, so that a person can correct and feed it. Next to it,
 * `<file>.reasons` has the reason of each row, in the same order, as NDJSON.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

export interface Reject {
  readonly file: string;
  readonly line: number;
  readonly code: string;
  readonly message: string;
  readonly text: string;
  readonly header: string | undefined;
}

export interface Rejects extends AsyncDisposable {
  add(reject: Reject): void;
}

const maxShown = 10;

/** New rows are appended to both files. */
export function createRejects(path: string | undefined, say: (text: string) => void): Rejects {
  let failure: Error | undefined;
  const openFile = (name: string): WriteStream =>
    createWriteStream(name, { flags: 'a' }).on('error', error => {
      failure = error;
    });
  const files = path === undefined ? undefined : { rows: openFile(path), reasons: openFile(`${path}.reasons`) };
  let count = 0;
  let header: string | undefined;
  return {
    add({ text, header: ofRow, ...reason }) {
      if (failure) throw failure;
      count++;
      if (count <= maxShown) say(`${reason.file}:${reason.line}: ${reason.message}`);
      if (count === maxShown + 1)
        say(
          files ? `more rejected rows: see ${path}` : 'more rejected rows; --rejects FILE writes all of them to a file',
        );
      if (!files) return;
      if (ofRow !== undefined && ofRow !== header) files.rows.write(`${ofRow}\n`);
      header = ofRow;
      files.rows.write(`${text}\n`);
      files.reasons.write(`${JSON.stringify(reason)}\n`);
    },
    async [Symbol.asyncDispose]() {
      if (!files || failure) return;
      for (const file of Object.values(files)) {
        file.end();
        await finished(file);
      }
    },
  };
}
