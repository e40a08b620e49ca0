/**
 * Three real brokers in short: one is stopped in good order, one is killed, and for a while every partition changes hands
 * each second, under load; then the whole log is read back with Kafka's own client and held against what every client
 * was told. The long form: npm run faults -- --rounds cluster
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { cleanStop, elections, kill, leader } from '../faults/cluster/faults.ts';
import { checkLog } from '../faults/cluster/log-checks.ts';
import { openClusterStage } from '../faults/cluster/stage.ts';
import { strike } from '../faults/cluster/strikes.ts';

it('loses and doubles no click when leaders move on three brokers', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'adclicks-cluster-'));
  try {
    await using stage = await openClusterStage({
      scratch,
      withStore: false,
      load: { singlesPerSecond: 60, batchesPerSecond: 12, clicksPerBatch: 24 },
    });
    await sleep(1_000);
    for (const fault of [cleanStop(1), kill('kill -9 of a leader', leader), elections(8)]) {
      await strike(stage, await fault(stage), line => console.log(line));
    }
    await stage.load.stop();
    await stage.counted(120_000);
    const ledger = stage.load.ledger();
    console.log(`${stage.leaderMoves()} leader moves, ${stage.load.acked} clicks acknowledged`);
    expect(checkLog(ledger, await stage.readLog(), stage.partitions)).toEqual([]);
    // A fault that did not strike proves nothing.
    expect(stage.leaderMoves()).toBeGreaterThanOrEqual(40);
    expect(stage.load.acked).toBeGreaterThan(2_000);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
