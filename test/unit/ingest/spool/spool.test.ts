/**
 * A click that the spool has promised to keep reaches Kafka, whatever ends the process or the machine in between. The
 * disk of these tests keeps, when the power goes, only what was synced.
 */
import { pino } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Retryable } from '../../../../infra/errors.ts';
import { registry } from '../../../../infra/metrics.ts';
import type { Click } from '../../../../ingest/click.ts';
import { openSpool, type Spool } from '../../../../ingest/spool/spool.ts';
import type { SpoolDisk } from '../../../../ingest/spool/spool-disk.ts';
import { spoolRecord } from '../../../../ingest/spool/spool-record.ts';
import { readSpooledClick, spooledText } from '../../../../ingest/spool/spooled-click.ts';
import { click } from '../../../support/clicks.ts';
import { eventually } from '../../../support/wait.ts';

const log = pino({ level: 'silent' });
const megabyte = 1 << 20;

/** What is in a file, and how much of it is synced. */
interface Content {
  bytes: Buffer;
  synced: number;
}

class Disk implements SpoolDisk {
  files = new Map<string, Content>();
  aside = new Map<string, Buffer>();
  syncs = 0;
  failing: Error | undefined;
  /** Of which files these fail, and how. */
  unreadable = new Map<string, Error>();
  unremovable = new Map<string, Error>();
  /** Each sync waits for it. */
  gate: Promise<void> = Promise.resolve();

  async list() {
    return [...this.files].sort().map(([name, { bytes }]) => ({ name, bytes: bytes.length }));
  }

  async create(name: string) {
    if (this.failing) throw this.failing;
    if (this.files.has(name)) throw new Error(`${name} is there`);
    const content: Content = { bytes: Buffer.alloc(0), synced: 0 };
    this.files.set(name, content);
    // As a system that has dropped what it could not write: later syncs of the file succeed, and say nothing.
    let hasFailed = false;
    return {
      append: async (bytes: Buffer) => {
        // A full disk has taken a part.
        const taken = this.failing ? bytes.subarray(0, bytes.length / 2) : bytes;
        content.bytes = Buffer.concat([content.bytes, taken]);
        if (this.failing) hasFailed = true;
        if (this.failing) throw this.failing;
      },
      sync: async () => {
        await this.gate;
        this.syncs++;
        if (!hasFailed) content.synced = content.bytes.length;
      },
      cut: async (bytes: number) => {
        content.bytes = content.bytes.subarray(0, bytes);
      },
      close: async () => undefined,
    };
  }

  async read(name: string) {
    const failure = this.unreadable.get(name);
    if (failure) throw failure;
    return this.files.get(name)?.bytes ?? Promise.reject(missing(name));
  }

  async remove(name: string) {
    const failure = this.unremovable.get(name);
    if (failure) throw failure;
    this.files.delete(name);
  }

  async countAside() {
    return this.aside.size;
  }

  async putAside(name: string) {
    const failure = this.unremovable.get(name);
    if (failure) throw failure;
    this.aside.set(name, await this.read(name));
    this.files.delete(name);
  }

  /** What a new machine finds. `torn`: so many bytes beyond what was synced are there, too. */
  afterPowerCut(torn = 0): Disk {
    const found = new Disk();
    for (const [name, { bytes, synced }] of this.files) {
      const left = bytes.subarray(0, synced + torn);
      found.files.set(name, { bytes: left, synced: left.length });
    }
    return found;
  }
}

function missing(name: string): Error {
  return Object.assign(new Error(`ENOENT: no such file or directory, open '${name}'`), { code: 'ENOENT' });
}

/** Kafka, which is away or there. */
class Kafka {
  isAway = true;
  taken: Click[] = [];
  calls = 0;

  readonly send = async (clicks: readonly Click[]) => {
    this.calls++;
    if (this.isAway) throw new Retryable('Kafka is away');
    this.taken.push(...clicks);
  };
}

const open: Spool[] = [];
async function spoolOn(disk: Disk, kafka: Kafka, maxBytes = megabyte, retryMs = 2): Promise<Spool> {
  const spool = await openSpool({ disk, maxBytes, log, send: kafka.send, retryMs });
  open.push(spool);
  return spool;
}

afterEach(async () => {
  for (const spool of open.splice(0)) await spool[Symbol.asyncDispose]();
});

const isEmpty = (disk: Disk) => eventually('the spool is empty', async () => disk.files.size === 0);

describe('a click in the spool', () => {
  it('is sent when Kafka is back, in the order of the clicks, and then removed', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const spool = await spoolOn(disk, kafka);
    const clicks = Array.from({ length: 2_500 }, () => click());
    for (const each of clicks.slice(0, 3)) await spool.append(each);
    await Promise.all(clicks.slice(3).map(each => spool.append(each)));
    await eventually('Kafka was asked', async () => kafka.calls > 2);
    expect(kafka.taken).toEqual([]);
    kafka.isAway = false;
    await isEmpty(disk);
    expect(kafka.taken).toEqual(clicks);
  });

  it('is read together with few others, so that who loads a link meanwhile does not wait for a whole file', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const before = await spoolOn(disk, kafka);
    const clicks = Array.from({ length: 1_000 }, () => click());
    await Promise.all(clicks.map(each => before.append(each)));
    const left = disk.afterPowerCut();
    const parse = vi.spyOn(JSON, 'parse');
    const read: number[] = [];
    const sent: Click[] = [];
    const send = async (some: readonly Click[]) => {
      read.push(parse.mock.calls.length - sent.length);
      sent.push(...some);
    };
    open.push(await openSpool({ disk: left, maxBytes: megabyte, log, send, retryMs: 2 }));
    await isEmpty(left);
    parse.mockRestore();
    expect(sent).toEqual(clicks);
    expect(Math.max(...read)).toBeLessThanOrEqual(100);
  });

  it('is on the disk before it is promised: the power may go at any time', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const spool = await spoolOn(disk, kafka);
    const clicks = Array.from({ length: 20 }, () => click());
    for (const each of clicks) await spool.append(each);
    const next = new Kafka();
    next.isAway = false;
    const left = disk.afterPowerCut();
    await spoolOn(left, next);
    await isEmpty(left);
    expect(next.taken).toEqual(clicks);
  });

  it('is not promised while the disk has not synced it', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const { promise, resolve } = Promise.withResolvers<void>();
    disk.gate = promise;
    const spool = await spoolOn(disk, kafka);
    let isPromised = false;
    const appended = spool.append(click()).then(() => {
      isPromised = true;
    });
    await eventually('it is written', async () => [...disk.files.values()].some(({ bytes }) => bytes.length > 0));
    expect(isPromised).toBe(false);
    resolve();
    await appended;
    expect(disk.syncs).toBe(1);
  });

  it('shares the sync with all that come while the disk is busy', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const spool = await spoolOn(disk, kafka);
    await Promise.all(Array.from({ length: 500 }, () => spool.append(click())));
    expect(disk.syncs).toBeLessThanOrEqual(2);
  });

  it('stays until all of its file is acknowledged', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const { promise, resolve } = Promise.withResolvers<void>();
    const sent: Click[] = [];
    const send = async (clicks: readonly Click[]) => {
      sent.push(...clicks);
      await promise;
    };
    const spool = await openSpool({ disk, maxBytes: megabyte, log, send, retryMs: 2 });
    open.push(spool);
    const one = click();
    await spool.append(one);
    await eventually('it is sent', async () => sent.length === 1);
    // The process ends here.
    const left = disk.afterPowerCut();
    kafka.isAway = false;
    await spoolOn(left, kafka);
    await isEmpty(left);
    expect(kafka.taken).toEqual([one]);
    resolve();
  });

  it('is sent though the end of its file is torn, and the file is kept for people', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const spool = await spoolOn(disk, kafka);
    const clicks = [click(), click()];
    await spool.append(clicks[0]!);
    await spool.append(clicks[1]!);
    const [name = ''] = disk.files.keys();
    const content = disk.files.get(name)!;
    content.bytes = Buffer.concat([content.bytes, content.bytes.subarray(0, 30)]);
    const left = disk.afterPowerCut(30);
    kafka.isAway = true;
    const next = new Kafka();
    next.isAway = false;
    await spoolOn(left, next);
    await isEmpty(left);
    expect(next.taken).toEqual(clicks);
    expect([...left.aside.keys()]).toEqual([name]);
  });
});

describe('a spool', () => {
  it('that is full refuses clicks, and takes them again when it was sent', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const spool = await spoolOn(disk, kafka, 1_000);
    const kept: Click[] = [];
    const fill = async () => {
      for (;;) {
        const each = click();
        await spool.append(each);
        kept.push(each);
      }
    };
    await expect(fill()).rejects.toThrow(/^the spool is full: it holds \d+ of 1000 bytes$/);
    expect(kept.length).toBeGreaterThan(2);
    kafka.isAway = false;
    await isEmpty(disk);
    expect(kafka.taken).toEqual(kept);
    await spool.append(click());
  });

  it('whose disk fails refuses clicks, and goes on in another file: nothing of what it promised is lost', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    // It does not begin to send, so there is one file, which fails with a click in it.
    const spool = await spoolOn(disk, kafka, megabyte, 60_000);
    const one = click();
    await spool.append(one);
    disk.failing = new Error('ENOSPC: no space left on device');
    await expect(spool.append(click())).rejects.toThrow('the spool cannot be written: ENOSPC');
    expect(spool.refusal()?.message).toContain('ENOSPC');
    disk.failing = undefined;
    await eventually('it takes clicks again', async () => spool.refusal() === undefined);
    const two = click();
    await spool.append(two);
    const [left, next] = [disk.afterPowerCut(), new Kafka()];
    next.isAway = false;
    await spoolOn(left, next);
    await isEmpty(left);
    expect(next.taken).toEqual([one, two]);
  });

  it('goes on after whatever else is thrown while it sends', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    let failures = 0;
    const send = async (clicks: readonly Click[]) => {
      if (failures++ < 2) throw new Error('of our own making');
      await kafka.send(clicks);
    };
    kafka.isAway = false;
    const spool = await openSpool({ disk, maxBytes: megabyte, log, send, retryMs: 2 });
    open.push(spool);
    const one = click();
    await spool.append(one);
    await isEmpty(disk);
    expect(kafka.taken).toEqual([one]);
  });
});

describe('a file of the spool that the disk', () => {
  /** Two files, the first of which is damaged by `damage`, and a Kafka that is there. */
  async function twoFiles() {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const names = ['000000000001.spool', '000000000002.spool'] as const;
    const clicks = names.map(() => click());
    for (const [i, name] of names.entries()) {
      const bytes = spoolRecord(spooledText(clicks[i]!));
      disk.files.set(name, { bytes, synced: bytes.length });
    }
    kafka.isAway = false;
    return { disk, kafka, names, clicks };
  }

  it('does not give back holds up no other, is tried again, and is seen as long', async () => {
    const { disk, kafka, names, clicks } = await twoFiles();
    disk.unreadable.set(names[0], new Error('EIO: i/o error, read'));
    const spool = await spoolOn(disk, kafka);
    await eventually('the other is sent', async () => disk.files.size === 1);
    expect(kafka.taken).toEqual([clicks[1]]);
    await eventually('it is seen', async () => (await stuckFiles()) === 1);
    expect([...disk.files.keys()]).toEqual([names[0]]);
    disk.unreadable.clear();
    const more = click();
    await spool.append(more);
    await isEmpty(disk);
    expect(kafka.taken).toHaveLength(3);
    expect(kafka.taken).toEqual(expect.arrayContaining([clicks[0], more]));
    await eventually('all is well', async () => (await stuckFiles()) === 0);
  });

  it.each([false, true])('does not let go is sent once, and not again and again (torn: %j)', async isTorn => {
    const { disk, kafka, names, clicks } = await twoFiles();
    if (isTorn) {
      const content = disk.files.get(names[0])!;
      content.bytes = Buffer.concat([content.bytes, content.bytes.subarray(0, 20)]);
    }
    disk.unremovable.set(names[0], new Error('EROFS: read-only file system, unlink'));
    const spool = await spoolOn(disk, kafka);
    await eventually('the other is sent', async () => disk.files.size === 1);
    for (let i = 0; i < 5; i++) {
      const sent = kafka.taken.length;
      await spool.append(click());
      await eventually('one more', async () => kafka.taken.length > sent);
    }
    expect(kafka.taken.filter(({ clickId }) => clickId === clicks[0]!.clickId)).toHaveLength(1);
    expect(kafka.taken).toHaveLength(7);
    disk.unremovable.clear();
    await spool.append(click());
    await isEmpty(disk);
    expect([...disk.aside.keys()]).toEqual(isTorn ? [names[0]] : []);
    expect(kafka.taken.filter(({ clickId }) => clickId === clicks[0]!.clickId)).toHaveLength(1);
  });

  it('has lost, because somebody has removed it, is forgotten: the spool has its room again', async () => {
    const { disk, kafka, names, clicks } = await twoFiles();
    disk.unreadable.set(names[0], missing(names[0]));
    const spool = await spoolOn(disk, kafka, 1_000);
    await eventually('the other is sent', async () => kafka.taken.length === 1);
    expect(kafka.taken).toEqual([clicks[1]]);
    disk.files.clear();
    expect(await stuckFiles()).toBe(0);
    expect(spool.refusal()).toBeUndefined();
  });

  it('has written in part leaves nothing that looks like damage later', async () => {
    const [disk, kafka] = [new Disk(), new Kafka()];
    const spool = await spoolOn(disk, kafka, megabyte, 60_000);
    const one = click();
    await spool.append(one);
    disk.failing = new Error('ENOSPC: no space left on device');
    await expect(spool.append(click())).rejects.toThrow('ENOSPC');
    disk.failing = undefined;
    const left = disk.afterPowerCut(1_000);
    const next = new Kafka();
    next.isAway = false;
    await spoolOn(left, next);
    await isEmpty(left);
    expect(next.taken).toEqual([one]);
    expect(left.aside.size).toBe(0);
  });
});

async function stuckFiles(): Promise<number | undefined> {
  const metric = await registry.getSingleMetric('adclicks_spool_stuck_files')?.get();
  return metric?.values[0]?.value;
}

it.each([{}, { eventId: 'é "quoted" \\ 클릭', userId: 'u 1', ip: '203.0.113.7' }, { purpose: 'prefetch' }])(
  'keeps all of a click: %j',
  given => {
    const whole = click(given);
    expect(readSpooledClick(spooledText(whole))).toEqual(whole);
  },
);

it.each(['', 'no json', 'null', '[]', '{"click_id":"a"}'])('takes no click out of %j', text => {
  expect(readSpooledClick(text)).toBeUndefined();
});
