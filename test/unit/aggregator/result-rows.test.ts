import { describe, expect, it } from 'vitest';
import { filterSeqAt } from '../../../aggregator/job-records.ts';
import { sinkNode } from '../../../aggregator/sink/node.ts';
import { resultRows } from '../../../aggregator/sink/result-rows.ts';
import { Corrupt } from '../../../infra/errors.ts';
import type { LogRecord } from '../../../infra/kafka/record-batch.ts';

const record = (offset: number, kind: string, value: string, headers: Record<string, string> = {}): LogRecord => ({
  ...{ offset, timestamp: 0, value: Buffer.from(value) },
  headers: Object.fromEntries(Object.entries({ kind, ...headers }).map(([name, text]) => [name, Buffer.from(text)])),
});
const rowsOn = (shard: number, shards: number, records: readonly LogRecord[]) => {
  const node = sinkNode({ name: 'a', shard }, { shards, nodes: shards }, 'x');
  const rows = [...resultRows({ topic: 'job-results', partition: 0, records: [...records] }, node.holds)];
  return Object.fromEntries(
    rows.filter(([, pieces]) => pieces.length > 0).map(([table, pieces]) => [table, pieces.map(String)]),
  );
};

describe('what jobs say', () => {
  const said = [
    record(0, 'restatement', 'r'),
    record(1, 'ad-minute', 'of 0', { partition: '0' }),
    record(2, 'ad-minute', 'of 1', { partition: '1' }),
    record(3, 'ad-minute', 'of 2', { partition: '2' }),
    record(4, 'job', 'j'),
  ];

  it('is on every node, but of restated counts only those whose clicks its shard holds', () => {
    expect(rowsOn(0, 2, said)).toEqual({ restatement: ['r'], ad_minute: ['of 0', 'of 2'], replay_job: ['j'] });
    expect(rowsOn(1, 2, said)).toEqual({ restatement: ['r'], ad_minute: ['of 1'], replay_job: ['j'] });
  });

  it('is on the only node whole', () => {
    expect(rowsOn(0, 1, said)['ad_minute']).toEqual(['of 0', 'of 1', 'of 2']);
  });

  it.each([{}, { partition: '' }, { partition: 'x' }])(
    'halts the sink where counts do not say of which partition: %o',
    headers => {
      expect(() => rowsOn(0, 2, [record(7, 'ad-minute', 'of ?', headers as Record<string, string>)])).toThrow(Corrupt);
    },
  );
});

describe('a stored filter', () => {
  it('gets a number by which the later change in the log wins', () => {
    const [row = ''] = rowsOn(0, 1, [record(3, 'filter', '{"id":"f","definition":"{}"}')])['stored_filter'] ?? [];
    expect(JSON.parse(row)).toEqual({ id: 'f', definition: '{}', seq: filterSeqAt(3) });
  });

  it.each(['', 'f', '7', '"f"', '["f"]', 'null', '{}', '{"id":7}', '{"id":""}'])(
    'halts the sink where its record holds something else: %s',
    value => {
      expect(() => rowsOn(0, 1, [record(3, 'filter', value)])).toThrow(
        new Corrupt('job-results[0], offset 3: is not a stored filter'),
      );
    },
  );
});
