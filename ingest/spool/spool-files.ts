/**
 * Keeps click lines in files until they are removed. `append` resolves when its line is on the disk: written, and synced.
 *
 * Lines that come while others are being written wait, and are then written and synced together. So the number of syncs
 * is what the disk can do, however many lines there are. Files are only ever appended to by the process that has created
 * them, and never again after a failed write or sync: what the disk holds of that file is not certain any more.
 *
 * What is done on the disk is done one thing after another, so a file that is taken out by `oldest` is complete.
 */
import { messageOf, Retryable } from '../../infra/errors.ts';
import type { SpoolDisk, SpoolFile } from './spool-disk.ts';
import { spoolRecord } from './spool-record.ts';

export interface SpoolFilesOptions {
  readonly disk: SpoolDisk;
  /** For all files. */
  readonly maxBytes: number;
}

/** A file of this size is not appended to any more. */
const fileBytes = 4 << 20;
/** Lines that wait while the disk is slow. */
const maxWaitingBytes = 16 << 20;
/** After a failure, lines are refused for this long. */
const refusedForMs = 1_000;

interface Batch {
  readonly records: Buffer[];
  bytes: number;
  readonly written: PromiseWithResolvers<void>;
}

interface ActiveFile {
  readonly name: string;
  readonly file: SpoolFile;
  /** Synced. */
  bytes: number;
}

export class SpoolFiles {
  readonly #disk: SpoolDisk;
  readonly #maxBytes: number;
  /** Bytes of the complete files, by name, the oldest first. */
  readonly #complete = new Map<string, number>();
  #active: ActiveFile | undefined;
  #next = 1;
  #waiting: Batch = newBatch();
  /** Of all files, and of what waits to be written. */
  #bytes = 0;
  #turn: Promise<void> = Promise.resolve();
  #refusedUntilMs = 0;
  #refusedBecause = '';

  private constructor({ disk, maxBytes }: SpoolFilesOptions) {
    this.#disk = disk;
    this.#maxBytes = maxBytes;
  }

  /** With the files that are there. */
  static async open(options: SpoolFilesOptions): Promise<SpoolFiles> {
    const files = new SpoolFiles(options);
    for (const { name, bytes } of await options.disk.list()) {
      files.#complete.set(name, bytes);
      files.#bytes += bytes;
      files.#next = Number.parseInt(name, 10) + 1;
    }
    return files;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** No file is there, and none is being written. */
  get isEmpty(): boolean {
    return this.#bytes === 0 && this.#complete.size === 0;
  }

  /** @throws Retryable when the line is not kept: no room, or the disk has failed */
  append(line: string): Promise<void> {
    const record = spoolRecord(line);
    const refusal = this.refusal(record.length);
    if (refusal) return Promise.reject(refusal);
    const batch = this.#waiting;
    batch.records.push(record);
    batch.bytes += record.length;
    this.#bytes += record.length;
    if (batch.records.length === 1) void this.#inTurn(() => this.#write());
    return batch.written.promise;
  }

  /** Why a line of so many bytes would be refused now, or undefined. */
  refusal(bytes = 0): Retryable | undefined {
    if (performance.now() < this.#refusedUntilMs) return new Retryable(this.#refusedBecause);
    if (this.#bytes + bytes > this.#maxBytes)
      return new Retryable(`the spool is full: it holds ${this.#bytes} of ${this.#maxBytes} bytes`);
    if (this.#waiting.bytes + bytes > maxWaitingBytes)
      return new Retryable(`the disk of the spool is slow: ${this.#waiting.bytes} bytes wait for it`);
    return undefined;
  }

  /** Returns the name of the oldest file but these. It is not appended to any more. Undefined: there is none. */
  async oldestBut(these: ReadonlySet<string>): Promise<string | undefined> {
    const oldest = () => this.#complete.keys().find(name => !these.has(name));
    if (oldest() === undefined) await this.#inTurn(() => this.#endFile());
    return oldest();
  }

  read(name: string): Promise<Buffer> {
    return this.#disk.read(name);
  }

  async remove(name: string): Promise<void> {
    await this.#disk.remove(name);
    this.forget(name);
  }

  async putAside(name: string): Promise<void> {
    await this.#disk.putAside(name);
    this.forget(name);
  }

  /** How many were put aside, by this process and those before it. */
  countAside(): Promise<number> {
    return this.#disk.countAside();
  }

  /** A file that is not there any more. */
  forget(name: string): void {
    this.#bytes -= this.#complete.get(name) ?? 0;
    this.#complete.delete(name);
  }

  /** When all that waits is written. */
  async close(): Promise<void> {
    await this.#inTurn(() => this.#endFile());
  }

  /** `work` does not throw. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work);
    return this.#turn;
  }

  async #write(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = newBatch();
    try {
      this.#active ??= await this.#begin();
      const { file } = this.#active;
      await file.append(Buffer.concat(batch.records));
      await file.sync();
      this.#active.bytes += batch.bytes;
      batch.written.resolve();
      if (this.#active.bytes >= fileBytes) await this.#endFile();
    } catch (error) {
      this.#bytes -= batch.bytes;
      this.#refusedBecause = `the spool cannot be written: ${messageOf(error)}`;
      this.#refusedUntilMs = performance.now() + refusedForMs;
      await this.#cutFile();
      await this.#endFile();
      batch.written.reject(new Retryable(this.#refusedBecause, { cause: error }));
    }
  }

  async #begin(): Promise<ActiveFile> {
    const name = `${String(this.#next++).padStart(12, '0')}.spool`;
    return { name, file: await this.#disk.create(name), bytes: 0 };
  }

  /** A part of what was not promised would look like damage later. */
  async #cutFile(): Promise<void> {
    const active = this.#active;
    await active?.file.cut(active.bytes).catch(() => undefined);
  }

  /** Ends the file that is appended to. One in which nothing was synced has no line that was promised. */
  async #endFile(): Promise<void> {
    const active = this.#active;
    if (active === undefined) return;
    this.#active = undefined;
    try {
      await active.file.close();
      if (active.bytes === 0) await this.#disk.remove(active.name);
    } catch {
      // What was promised is synced, and stays.
    }
    if (active.bytes > 0) this.#complete.set(active.name, active.bytes);
  }
}

function newBatch(): Batch {
  const written = Promise.withResolvers<void>();
  return { records: [], bytes: 0, written };
}
