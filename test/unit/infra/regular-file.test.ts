/** What a setting names by mistake neither holds up its reader nor fills its memory. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readRegularFile, readRegularFileSync } from '../../../infra/regular-file.ts';

let directory = '';
let path = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'regular-'));
  path = join(directory, 'file');
});
afterEach(() => rmSync(directory, { recursive: true }));

/** The same in both ways of reading. */
const ways = {
  async: (at: string, most: number) => readRegularFile(at, most),
  sync: async (at: string, most: number) => readRegularFileSync(at, most),
};

describe.each(Object.entries(ways))('a file that is read (%s)', (_way, read) => {
  it.each([0, 1, 999, 1_000])('is whole with %i bytes of 1,000', async length => {
    const bytes = Buffer.alloc(length, 'abc');
    writeFileSync(path, bytes);
    expect((await read(path, 1_000)).equals(bytes)).toBe(true);
  });

  it('may be found through a link, and may tell no size', async () => {
    writeFileSync(path, 'text');
    symlinkSync(path, `${path}.link`);
    expect((await read(`${path}.link`, 10)).toString()).toBe('text');
    const status = (await read('/proc/self/status', 100_000)).toString();
    expect(status).toMatch(/^Name:[\s\S]*voluntary_ctxt_switches:\t\d+\n/);
  });

  it.each([
    ['a named pipe into which nobody writes', () => void execFileSync('mkfifo', [path]), 'is a named pipe'],
    ['a directory', () => mkdirSync(path), 'is a directory'],
    ['a device without an end', () => symlinkSync('/dev/zero', path), 'is a device'],
    ['a link to itself', () => symlinkSync(path, path), 'ELOOP'],
    ['nothing', () => undefined, 'ENOENT'],
    ['more than it may have', () => writeFileSync(path, Buffer.alloc(1_001)), 'has 1001 bytes, but may have 1000'],
  ])('is refused where it is %s', async (_what, make, message) => {
    make();
    await expect(read(path, 1_000)).rejects.toThrow(message);
  });

  it('is refused before 3 GB of it are in memory', async () => {
    writeFileSync(path, '');
    truncateSync(path, 3 * 2 ** 30);
    const before = process.memoryUsage().arrayBuffers;
    await expect(read(path, 1 << 20)).rejects.toThrow('has 3221225472 bytes, but may have 1048576');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 << 20);
  });
});

it('a socket is refused', async () => {
  const server = createServer().listen(path);
  await new Promise(resolve => server.once('listening', resolve));
  await expect(readRegularFile(path, 1_000)).rejects.toThrow(/ENXIO|is a socket/);
  server.close();
});

it('a file that grows while it is read is read to the end that it has then, within its limit', async () => {
  writeFileSync(path, 'a'.repeat(10));
  const reading = readRegularFile(path, 100);
  appendFileSync(path, 'b'.repeat(200));
  await expect(reading).rejects.toThrow('but may have 100');
});
