/**
 * Plants one bug after another and sees to it that each is noticed:
 *
 *     node test/mutations/run.ts [--seeds 200] [--json FILE] [name…]
 *
 * Against each run the aggregator's unit tests and the simulation, which ends at its first failure; for bugs outside of
 * these, the unit or integration tests that the mutation names. The file is for the fault bench's report.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scriptOptions } from '../support/script-options.ts';
import { type Mutation, mutations } from './mutations.ts';
import { type Finding, type MutationResult, noticedBy } from './noticed-by.ts';

const { values, positionals } = scriptOptions(import.meta.filename, {
  allowPositionals: true,
  options: {
    seeds: { type: 'string', default: '200' },
    parallel: { type: 'string', default: '2' },
    json: { type: 'string', default: '' },
  },
});

const chosen = positionals.length === 0 ? mutations : mutations.filter(({ name }) => positionals.includes(name));
const scratch = mkdtempSync(join(tmpdir(), 'mutations-'));
const waiting = [...chosen];
const findings = new Map<Mutation, readonly Finding[]>();
try {
  await Promise.all(Array.from({ length: Number(values.parallel) }, work));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
const missed = chosen.filter(mutation => (findings.get(mutation) ?? []).length === 0);
if (values.json !== '') {
  const rows = chosen.map(mutation => ({
    name: mutation.name,
    bug: mutation.bug,
    noticedBy: findings.get(mutation) ?? [],
  }));
  writeFileSync(values.json, JSON.stringify(rows satisfies readonly MutationResult[], null, 2));
}
console.log(`${chosen.length - missed.length} of ${chosen.length} planted bugs noticed`);
process.exit(missed.length === 0 ? 0 : 1);

async function work(): Promise<void> {
  for (let mutation = waiting.shift(); mutation !== undefined; mutation = waiting.shift()) {
    const found = await noticedBy(mutation, Number(values.seeds), scratch);
    findings.set(mutation, found);
    console.log(`${mutation.name}: ${mutation.bug}`);
    for (const { suite, what } of found) console.log(`    ${suite.padEnd(11)} ${what}`);
    if (found.length === 0) console.log('    NOT NOTICED');
  }
}
