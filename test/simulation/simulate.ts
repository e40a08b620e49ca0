/**
 * Runs many seeds, or one with its trace:
 *
 *     node test/simulation/simulate.ts --seeds 30000 [--from 1] [--bail] [--hits]
 *     node test/simulation/simulate.ts --seed 4711 --trace
 */

import { scriptOptions } from '../support/script-options.ts';
import { type Outcome, simulate } from './world.ts';

const { values } = scriptOptions(import.meta.filename, {
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    bail: { type: 'boolean', default: false },
    hits: { type: 'boolean', default: false },
  },
});

if (values.seed !== undefined) {
  const outcome = await simulate(Number(values.seed), values.trace ? console.log : undefined);
  report(outcome);
  process.exit(outcome.violation ? 1 : 0);
}

const [from, count] = [Number(values.from), Number(values.seeds)];
const startedAt = Date.now();
const hits = new Map<string, number>();
let failures = 0;
for (let seed = from; seed < from + count; seed++) {
  const outcome = await simulate(seed);
  for (const [what, times] of outcome.hits) hits.set(what, (hits.get(what) ?? 0) + times);
  if (outcome.violation) {
    failures++;
    report(outcome);
    if (values.bail) break;
  }
  const done = seed - from + 1;
  if (done % 500 === 0 || done === count) {
    const perSecond = (done / (Date.now() - startedAt)) * 1_000;
    console.log(`${done} of ${count} seeds, ${perSecond.toFixed(1)}/s, ${failures} failed`);
  }
}
if (values.hits) for (const [what, times] of [...hits].sort()) console.log(`${String(times).padStart(9)} ${what}`);
process.exit(failures === 0 ? 0 : 1);

function report({ seed, violation, hash, events, records, duration }: Outcome): void {
  const minutes = (duration / 60_000).toFixed(1);
  console.log(
    `seed ${seed}: ${records} records, ${events} events, ${minutes} virtual minutes, course ${hash.toString(16)}`,
  );
  if (violation) console.log(`  ${violation.message}\n  node test/simulation/simulate.ts --seed ${seed} --trace`);
}
