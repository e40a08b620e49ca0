import { describe, expect, it } from 'vitest';
import { type CoveredFile, notRun, roomTable } from '../coverage/not-run.ts';

const fileOf = (path: string, ran: readonly number[], called: Readonly<Record<string, number>>): CoveredFile => ({
  path,
  s: Object.fromEntries(ran.entries()),
  f: Object.fromEntries(Object.values(called).entries()),
  b: { 0: [1, 0, 0] },
  fnMap: Object.fromEntries(
    Object.keys(called).map((name, i) => [i, { name, loc: { start: { line: 10 * (i + 1) } } }]),
  ),
});

const files = [
  fileOf('ingest/a.ts', [3, 1, 0, 1], { used: 2, unused: 0, '(anonymous_2)': 0 }),
  fileOf('ingest/feed/b.ts', [0, 0], { never: 0 }),
  fileOf('infra/types.ts', [], {}),
];

describe('the coverage report', () => {
  it('names the files of which nothing has run, and in the others the named functions that nothing has called', () => {
    expect(notRun(files)).toEqual({ unloaded: ['ingest/feed/b.ts'], functions: ['ingest/a.ts:20 unused'] });
  });

  it('says of each room how much has run, and of what is not there, nothing', () => {
    const rows = roomTable(files)
      .split('\n')
      .map(line => line.split(/ {2,}/));
    expect(rows).toEqual([
      ['room', 'files', 'statements', 'functions', 'branches'],
      ['infra', '1', '–', '–', '33.3 %'],
      ['ingest', '1', '75.0 %', '33.3 %', '33.3 %'],
      ['ingest/feed', '1', '0.0 %', '0.0 %', '33.3 %'],
      ['all', '3', '50.0 %', '25.0 %', '33.3 %'],
    ]);
  });
});
