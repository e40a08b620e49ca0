/** The fault bench in short: real processes killed, stopped, cut off and poisoned under load, and every promise checked. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { shortRound } from '../faults/goals.ts';
import { summaryOf } from '../faults/report.ts';
import { runRound } from '../faults/round.ts';
import { spoolPoints, stepPoints } from '../faults/step-points.ts';
import { mutated } from '../mutations/mutations.ts';

const root = join(import.meta.dirname, '../..');

describe('step-points', () => {
  it.each([...stepPoints, ...spoolPoints].map(point => [point.name, point] as const))(
    '%s hangs on text that is there once',
    (_name, point) => {
      const source = readFileSync(join(root, point.file), 'utf8');
      expect(mutated(point, source)).toContain('reachStepPoint');
    },
  );

  it('are nowhere in the shipped code', () => {
    for (const room of ['ingest', 'aggregator', 'query-api', 'infra']) {
      const files = readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).filter(f => f.endsWith('.ts'));
      for (const file of files) expect(readFileSync(join(root, room, file), 'utf8')).not.toMatch(/StepPoint|CRASH_/);
    }
  });
});

describe('the pipeline under faults', () => {
  it('keeps every promise over thirty kills and more', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'adclicks-faults-'));
    try {
      const report = await runRound(shortRound, scratch, line => console.log(line));
      console.log(summaryOf(report));
      expect(report.violations).toEqual([]);
      expect(report.kills).toBeGreaterThanOrEqual(30);
      expect(report.acked).toBeGreaterThan(1_000);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
});
