import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDataDir } from '../../../infra/embedded/instance-lock.ts';
import { identityOf } from '../../../infra/embedded/process-identity.ts';
import { canMountSmallDisk, fillDisk, mountSmallDisk } from '../../faults/small-disk.ts';

describe('the lock on a data directory', () => {
  let dataDir: string;
  const lockFile = () => join(dataDir, 'instance.lock');
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'instance-lock-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  it('is released when disposed of, and can be taken again', async () => {
    for (let round = 0; round < 2; round++) {
      using _lock = await lockDataDir(dataDir);
      expect(readFileSync(lockFile(), 'utf8')).toBe(identityOf(process.pid));
    }
    expect(readdirSync(dataDir)).toEqual([]);
  });

  it('creates the directory it locks', async () => {
    using _lock = await lockDataDir(join(dataDir, 'not', 'there'));
    expect(existsSync(join(dataDir, 'not', 'there'))).toBe(true);
  });

  it('refuses a second instance and names the first', async () => {
    using _lock = await lockDataDir(dataDir);
    await expect(lockDataDir(dataDir)).rejects.toThrow(
      `another instance (pid ${process.pid}) runs on DATA_DIR=${dataDir}`,
    );
    expect(readFileSync(lockFile(), 'utf8')).toBe(identityOf(process.pid));
  });

  it('takes over from an instance that is gone', async () => {
    writeFileSync(lockFile(), await identityOfEnded());
    using _lock = await lockDataDir(dataDir);
    expect(readFileSync(lockFile(), 'utf8')).toBe(identityOf(process.pid));
  });

  it('takes over when the pid of an instance that is gone belongs to another process now', async () => {
    writeFileSync(lockFile(), `${process.ppid} an earlier time`);
    using _lock = await lockDataDir(dataDir);
    expect(readFileSync(lockFile(), 'utf8')).toBe(identityOf(process.pid));
  });

  it.each(['', 'not a pid'])('takes over from a lock file that holds %j', async text => {
    writeFileSync(lockFile(), text);
    using _lock = await lockDataDir(dataDir);
    expect(readFileSync(lockFile(), 'utf8')).toBe(identityOf(process.pid));
  });

  it('goes to exactly one of several that find it stale', async () => {
    writeFileSync(lockFile(), await identityOfEnded());
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataDir(dataDir)));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(readdirSync(dataDir)).toEqual(['instance.lock']);
  });

  it('does not remove the lock of whoever came after', async () => {
    {
      using _lock = await lockDataDir(dataDir);
      writeFileSync(lockFile(), 'somebody else');
    }
    expect(readFileSync(lockFile(), 'utf8')).toBe('somebody else');
  });

  it.each([
    ['a directory', () => mkdirSync(lockFile()), 'must be a file, and is a directory'],
    ['a named pipe', () => void execFileSync('mkfifo', [lockFile()]), 'must be a file, and is a named pipe'],
  ])('refuses to start on %s, and says what to do', async (_what, make, why) => {
    make();
    await expect(lockDataDir(dataDir)).rejects.toThrow(
      `DATA_DIR: ${lockFile()} cannot be read (${why}): remove it if no other instance runs there`,
    );
  });

  it.each(['nowhere', 'instance.lock', '1 an earlier time'])('takes over from a link to %j', async target => {
    symlinkSync(target, lockFile());
    using _lock = await lockDataDir(dataDir);
    expect(readFileSync(lockFile(), 'utf8')).toBe(identityOf(process.pid));
  });

  it('is a link that needs no room on a full disk, and holds there too', async context => {
    if (!(await canMountSmallDisk())) return context.skip('this user may not mount a tmpfs');
    await using _disk = await mountSmallDisk(dataDir, 1);
    fillDisk(join(dataDir, 'filling'));
    const lock = await lockDataDir(dataDir, 'INGEST_SPOOL_DIR');
    expect(readlinkSync(lockFile())).toBe(identityOf(process.pid));
    await expect(lockDataDir(dataDir)).rejects.toThrow(`another instance (pid ${process.pid}) runs`);
    lock[Symbol.dispose]();
    expect(readdirSync(dataDir)).toEqual(['filling']);
  });

  it('says so when the directory cannot be created', async () => {
    writeFileSync(join(dataDir, 'file'), '');
    await expect(lockDataDir(join(dataDir, 'file', 'below'))).rejects.toThrow(
      /^DATA_DIR=.* cannot be created \(ENOTDIR\)$/,
    );
  });
});

async function identityOfEnded(): Promise<string> {
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)']);
  await new Promise(resolve => child.once('spawn', resolve));
  const identity = identityOf(child.pid ?? 0);
  child.kill('SIGKILL');
  await new Promise(resolve => child.once('exit', resolve));
  return identity;
}
