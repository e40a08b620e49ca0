/**
 * The spool on real disks that are small: a click that it has promised is sent once, whether the disk is full, has no room
 * for another file, or holds what is no file of a spool.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDataDir } from '../../../../infra/embedded/instance-lock.ts';
import { Retryable } from '../../../../infra/errors.ts';
import type { Click } from '../../../../ingest/click.ts';
import { openSpool } from '../../../../ingest/spool/spool.ts';
import { openSpoolDisk } from '../../../../ingest/spool/spool-disk.ts';
import { canMountSmallDisk, fillDisk, mountSmallDisk } from '../../../faults/small-disk.ts';
import { click } from '../../../support/clicks.ts';
import { eventually } from '../../../support/wait.ts';

const canMount = await canMountSmallDisk();
let directory = '';
let spoolDir = '';
let logged = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'spool-disk-'));
  spoolDir = join(directory, 'spool');
  logged = '';
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function spoolOn(kafka: { isAway: boolean; taken: Click[] }) {
  const send = async (clicks: readonly Click[]) => {
    if (kafka.isAway) throw new Retryable('Kafka is away');
    kafka.taken.push(...clicks);
  };
  const log = pino({}, { write: line => (logged += line) });
  return await openSpool({ disk: await openSpoolDisk(spoolDir), maxBytes: 64 << 20, log, send, retryMs: 2 });
}

const spoolFiles = () => readdirSync(spoolDir).filter(name => name.includes('.spool'));
const isDrained = () => eventually('the spool is empty', async () => spoolFiles().length === 0);

/** Appends until it is refused. */
async function appendAll(spool: Awaited<ReturnType<typeof spoolOn>>): Promise<{ kept: Click[]; why: string }> {
  const kept: Click[] = [];
  for (;;) {
    const each = click();
    try {
      await spool.append(each);
      kept.push(each);
    } catch (error) {
      return { kept, why: `${error}` };
    }
  }
}

describe.skipIf(!canMount)('a spool on a disk', () => {
  it('that is full keeps all that it has promised, and sends it once, with nothing put aside', async () => {
    await using _disk = await mountSmallDisk(directory, 1);
    const kafka = { isAway: true, taken: [] as Click[] };
    await using spool = await spoolOn(kafka);
    const { kept, why } = await appendAll(spool);
    expect(why).toContain('the spool cannot be written: ENOSPC');
    expect(kept.length).toBeGreaterThan(1_000);
    fillDisk(join(directory, 'filling'));
    kafka.isAway = false;
    await isDrained();
    expect(kafka.taken).toEqual(kept);
    await eventually('it takes clicks again', async () => spool.refusal() === undefined);
    await spool.append(click());
  });

  it('that is full is drained by a process that starts then', async () => {
    await using _disk = await mountSmallDisk(directory, 1);
    const kafka = { isAway: true, taken: [] as Click[] };
    let kept: Click[];
    {
      using _lock = await lockDataDir(spoolDir, 'INGEST_SPOOL_DIR');
      await using spool = await spoolOn(kafka);
      kept = (await appendAll(spool)).kept;
    }
    fillDisk(join(directory, 'filling'));
    kafka.isAway = false;
    using _lock = await lockDataDir(spoolDir, 'INGEST_SPOOL_DIR');
    await using _spool = await spoolOn(kafka);
    await isDrained();
    expect(kafka.taken).toEqual(kept);
  });

  it('that has no room for another file keeps all that it has promised, and goes on when it has', async () => {
    // The directory, that of the spool, one file of it, and one in the way.
    await using _disk = await mountSmallDisk(directory, 16, 4);
    const kafka = { isAway: true, taken: [] as Click[] };
    await using spool = await spoolOn(kafka);
    writeFileSync(join(directory, 'in the way'), '');
    const one = click();
    await spool.append(one);
    // To send, it ends its file, and would need another one.
    await eventually('it has no room', async () => (await appendAll(spool)).why.includes('ENOSPC'));
    kafka.isAway = false;
    await isDrained();
    expect(kafka.taken[0]).toEqual(one);
    await eventually('it takes clicks again', async () => spool.refusal() === undefined);
    const last = click();
    await spool.append(last);
    await isDrained();
    expect(kafka.taken.at(-1)).toEqual(last);
    expect(new Set(kafka.taken.map(({ clickId }) => clickId)).size).toBe(kafka.taken.length);
  });
});

function sparse(path: string): void {
  writeFileSync(path, '');
  truncateSync(path, 3 * 2 ** 30);
}

it.each([
  ['a directory', (path: string) => mkdirSync(path), 'is a directory'],
  ['a named pipe', (path: string) => void execFileSync('mkfifo', [path]), 'is a named pipe'],
  ['a link to itself', (path: string) => symlinkSync(path, path), 'ELOOP'],
  ['3 GB large', sparse, 'but may have 67108864'],
])('a file with a name of a spool that is %s is named in one line, and clicks go past it', async (_what, make, why) => {
  mkdirSync(spoolDir);
  const name = '000000000001.spool';
  make(join(spoolDir, name));
  const kafka = { isAway: false, taken: [] as Click[] };
  await using spool = await openSpool({
    ...{ disk: await openSpoolDisk(spoolDir), maxBytes: 8 * 2 ** 30, retryMs: 2 },
    log: pino({}, { write: line => (logged += line) }),
    send: async clicks => void kafka.taken.push(...clicks),
  });
  const clicks = [click(), click(), click()];
  for (const [i, each] of clicks.entries()) {
    await spool.append(each);
    await eventually('it is sent', async () => kafka.taken.length === i + 1);
  }
  expect(kafka.taken).toEqual(clicks);
  await eventually('it is alone', async () => spoolFiles().join() === name);
  const lines = logged.split('\n').filter(line => line.includes('cannot be read'));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(name);
  expect(lines[0]).toContain(why);
});
