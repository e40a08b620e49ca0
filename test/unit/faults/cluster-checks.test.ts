/** That the checks and figures of the cluster's rounds can fail: each finds what was planted, and nothing where all is well. */
import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { partitionOf } from '../../../ingest/click.ts';
import { availabilityOf } from '../../faults/cluster/availability.ts';
import { countLeaderMoves } from '../../faults/cluster/leader-moves.ts';
import type { ClusterLedger, Post } from '../../faults/cluster/load.ts';
import { checkLog, type WholeLog } from '../../faults/cluster/log-checks.ts';
import type { Fate } from '../../faults/ledger.ts';
import { withSection } from '../../faults/section.ts';
import { quietPort } from '../../support/quiet-port.ts';
import { openTcpLink } from '../../support/tcp-link.ts';

const minute = 1_763_800_020;
const partitions = 3;
const ad = 'ad-1';
const home = partitionOf(ad, partitions);

function ledgerOf(...fates: readonly Fate[]): ClusterLedger {
  return new Map(
    fates.map((fate, index) => {
      const event_id = `${ad}#${index + 1}`;
      return [event_id, { click: { event_id, ad_id: ad, clicked_at: minute * 1_000, country: 'KR' }, fate }];
    }),
  );
}

/** Of clicks with these numbers, one per record, counted `counted`. */
function logOf(numbers: readonly number[], counted = new Set(numbers).size, partition = home): WholeLog {
  const at = { appendedAt: 0, kind: '' };
  const count = [minute, ad, 'KR', partition, numbers.length, counted, numbers.length - counted, 0];
  const progress = {
    ...{ partition, position: numbers.length, received: numbers.length, counted },
    ...{ duplicates: numbers.length - counted, quarantined: 0 },
  };
  return {
    clicks: numbers.map((number, offset) => {
      const line = JSON.stringify({ event_id: `${ad}#${number}`, ad_id: ad, clicked_at: minute * 1_000 });
      return { ...at, partition, offset, line };
    }),
    aggregates: [
      { ...at, partition, offset: 0, kind: 'ad-minute', line: JSON.stringify(count) },
      { ...at, partition, offset: 1, kind: 'progress', line: JSON.stringify(progress) },
    ],
    quarantine: [],
  };
}

describe('the log against the ledger', () => {
  it('finds nothing where every click is told and counted as it was, a copy once', () => {
    expect(checkLog(ledgerOf('acked', 'unknown', 'refused', 'unknown'), logOf([1, 2, 1]), partitions)).toEqual([]);
  });

  it.each([
    ['an acknowledged click that is not there', ledgerOf('acked', 'acked'), logOf([1]), /^I1 acknowledged.*ad-1#2$/],
    ['a refused click that is there', ledgerOf('acked', 'refused'), logOf([1, 2]), /^I2 .*ad-1#2: refused$/],
    ['a click that nobody posted', ledgerOf('acked'), logOf([1, 2]), /^I2 .*ad-1#2: never posted$/],
    ['a click that was counted twice', ledgerOf('acked'), logOf([1, 1], 2), /^I4 .*: 2 instead of 1$/],
    ['a click that was not counted', ledgerOf('acked', 'acked'), logOf([1, 2], 1), /^I4 .*: 1 instead of 2$/],
    [
      'a click in another partition than its ad',
      ledgerOf('acked'),
      logOf([1], 1, (home + 1) % partitions),
      /^a click is in the partition of its ad: 1 of 1/,
    ],
  ])('finds %s', (_what, ledger, log, found) => {
    expect(checkLog(ledger, log, partitions)).toEqual([expect.stringMatching(found)]);
  });

  it('finds a partition that was not read to its end, and a commit that was written twice', () => {
    const log = logOf([1, 2]);
    const [row, progress] = log.aggregates;
    const unread = {
      ...log,
      aggregates: [row!, { ...progress!, line: progress!.line.replace('"position":2', '"position":1') }],
    };
    expect(checkLog(ledgerOf('acked', 'acked'), unread, partitions)).toContainEqual(
      expect.stringMatching(/^I8: partition \d is read to 1 of 2 clicks$/),
    );
    const twice = { ...log, aggregates: [...log.aggregates, ...log.aggregates] };
    expect(checkLog(ledgerOf('acked', 'acked'), twice, partitions).join()).toMatch(/written once/);
  });
});

describe('availability', () => {
  const strike = { kind: 'kill', what: '', at: 10_000, healedAt: 14_000, until: 20_000, fallen: new Set([0]) };
  const single = (partition: number, at: number, ackedAt: number, refusals = 0): Post => {
    return { at, partitions: new Set([partition]), isSingle: true, ackedAt, refusals, failures: 0 };
  };
  const steady = Array.from({ length: 100 }, (_, index) => single(1, 10_000 + index * 100, 10_005 + index * 100));

  it('tells the partitions that fell from the others, and who came through within 5 s', () => {
    const posts = [single(0, 10_500, 13_000, 2), single(0, 10_600, 18_600, 9), ...steady];
    const progress = [11_000, 16_000].map(appendedAt => {
      return { partition: 1, offset: 0, appendedAt, kind: 'progress', line: '' };
    });
    expect(availabilityOf([strike], posts, progress, 2)).toEqual([
      expect.objectContaining({
        ...{ posts: 102, refused: 2, notWithin5s: 1, p50: 5, max: 8_000 },
        ...{ fallenFirstAck: 3_000, othersFirstAck: 5, fallenSilent: 5_600, othersSilent: 100, uncounted: 10_000 },
      }),
    ]);
  });

  it('counts what was acknowledged while it had to be refused', () => {
    const refusing = { ...strike, mustRefuseFrom: 12_000 };
    const posts = [single(0, 11_000, 13_000), single(0, 12_500, 13_000), single(0, 12_500, 15_000)];
    expect(availabilityOf([refusing], posts, [], 2)[0]?.wronglyAcked).toBe(1);
  });
});

describe('leader moves', () => {
  const movesOf = (...leaders: readonly [to: number, at: number][]) =>
    leaders.map(([to, at], index) => {
      return { topic: 'clicks', partition: 0, from: leaders[index - 1]?.[0] ?? 1, to, at };
    });

  it.each([
    ['a move and the way back', movesOf([2, 1_000], [1, 9_000]), 2],
    ['one each second, round and round', movesOf([2, 1_000], [3, 2_000], [1, 3_000], [2, 4_000]), 4],
    ['none for a while, then the same', movesOf([-1, 1_000], [1, 3_000]), 0],
    ['none for a while, then another', movesOf([-1, 1_000], [2, 3_000]), 1],
    ['the word of one that is cut off against the others', movesOf([2, 1_000], [1, 1_250], [2, 1_500], [1, 1_750]), 0],
    ['before the load began', movesOf([2, 10]), 0],
  ])('%s', (_what, seen, expected) => {
    expect(countLeaderMoves(seen, 100)).toBe(expected);
  });
});

describe('a link', () => {
  it('delivers late, in order, what was sent while it was cut, and what came to it then', async () => {
    const received: string[] = [];
    const [port, target] = [await quietPort(), await quietPort()];
    const server = createServer(socket => socket.on('data', chunk => received.push(`${chunk}`)));
    await new Promise<void>(resolve => server.listen(target, '127.0.0.1', resolve));
    await using link = await openTcpLink(port, target);
    const first = await sender(port);
    first.write('a');
    await untilEqual(() => received.join(''), 'a');
    link.cut();
    first.write('b');
    const second = await sender(port);
    second.write('c');
    await new Promise(resolve => setTimeout(resolve, 200));
    expect(received.join('')).toBe('a');
    link.mend();
    first.write('d');
    await untilEqual(() => [...received.join('')].sort().join(''), 'abcd');
    expect(received.join('').replace('c', '')).toBe('abd');
    first.destroy();
    second.destroy();
    await new Promise(resolve => server.close(resolve));
  });
});

describe('the report', () => {
  it('has the section in place of an earlier one, and keeps the rest', () => {
    const section = '## Three brokers\n\nnew\n';
    expect(withSection('# R\n\nold\n', section)).toBe('# R\n\nold\n\n## Three brokers\n\nnew\n');
    const before = '# R\n\n## Three brokers\n\nold\n\n## Planted bugs\n\nx\n';
    expect(withSection(before, section)).toBe('# R\n\n## Three brokers\n\nnew\n\n## Planted bugs\n\nx\n');
  });
});

async function sender(port: number): Promise<Socket> {
  return await new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1' }, () => resolve(socket));
  });
}

async function untilEqual(value: () => string, wanted: string): Promise<void> {
  while (value() !== wanted) await new Promise(resolve => setTimeout(resolve, 10));
}
