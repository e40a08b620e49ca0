/** All benchmarks, one after another, in one table: `npm run bench -- --help`. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BenchRow, machineLine, tableOf } from './bench-row.ts';

interface Part {
  readonly file: string;
  readonly full: readonly string[];
  /** Left out of `--quick` where undefined. */
  readonly quick?: readonly string[];
}

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    runs: { type: 'string', default: '3' },
    peers: { type: 'string', default: process.env['PEERS_DIR'] ?? '' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
const runs = ['--runs', options.runs];
const parts: Readonly<Record<string, Part>> = {
  growth: { file: 'growth.ts', full: [], quick: ['--quick'] },
  'aggregate, own records': {
    file: 'aggregate.ts',
    full: [...runs, '--lines', '500', ...(options.peers === '' ? [] : ['--peers', options.peers])],
    quick: ['--clicks', '1000000', '--minutes', '2', '--runs', '1'],
  },
  'aggregate, one click a record': {
    file: 'aggregate.ts',
    full: [...runs, '--lines', '1', ...(options.peers === '' ? [] : ['--peers', options.peers, '--only', 'flink'])],
  },
  ...(options.peers !== '' && {
    'kafka engine': { file: 'kafka-engine.ts', full: [...runs, '--peers', options.peers] },
  }),
  ingest: { file: 'ingest.ts', full: runs, quick: ['--seconds', '2', '--runs', '1'] },
  bombs: { file: 'bombs.ts', full: runs },
  store: { file: 'store.ts', full: runs },
  query: { file: 'query.ts', full: [] },
  'export as csv': { file: 'export-csv.ts', full: [] },
  pipeline: { file: 'pipeline.ts', full: [] },
  restore: { file: 'restore.ts', full: [] },
  live: { file: 'live.ts', full: [] },
  'abandoned reads': { file: 'abandoned-reads.ts', full: [] },
  'at rest': { file: 'at-rest.ts', full: [] },
};
if (options.help) {
  console.log(`npm run bench -- [options]
  --only A,B   of: ${Object.keys(parts).join('; ')}
  --quick      under a minute: only what shows that something has become slow, beside a yardstick of the same run
  --runs N     paired runs of each; told is the median (3)
  --peers DIR  the peers kit (PEERS_DIR): Flink, Kafka Streams and a scanner on the same broker and topic; and
               ClickHouse's own Kafka engine, also after kill -9
  --json FILE  an array of {name, value, unit, ratio_to, ratio}
Nothing else should run on the machine. The whole takes about an hour.`);
  process.exit(0);
}

const chosen = options.only?.split(/[,;]/).map(name => name.trim());
const unknown = chosen?.filter(name => !Object.keys(parts).some(part => part.startsWith(name))) ?? [];
if (unknown.length > 0)
  throw new Error(`--only ${unknown}: no such benchmark; there are ${Object.keys(parts).join('; ')}`);

const directory = mkdtempSync(join(tmpdir(), 'bench-results-'));
using _ = { [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
const rows: BenchRow[] = [];
const failed: string[] = [];
for (const [name, { file, full, quick }] of Object.entries(parts)) {
  if (chosen && !chosen.some(part => name.startsWith(part))) continue;
  const given = options.quick ? quick : full;
  if (given === undefined) continue;
  console.log(`\n— ${name}: ${file} ${given.join(' ')} (load ${loadavg()[0]?.toFixed(1)})`);
  const json = join(directory, `${rows.length}.json`);
  const code = await run(file, [...given, '--json', json]);
  if (code === 0 && existsSync(json)) rows.push(...(JSON.parse(readFileSync(json, 'utf8')) as BenchRow[]));
  else failed.push(name);
}
console.log(`\n${machineLine()}; ${new Date().toISOString().slice(0, 10)}; load ${loadavg()[0]?.toFixed(1)}\n`);
console.log(tableOf(rows));
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
if (failed.length > 0) {
  console.error(`failed: ${failed.join('; ')}`);
  process.exitCode = 1;
}

function run(file: string, args: readonly string[]): Promise<number> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=TimeoutNegativeWarning', join(import.meta.dirname, file), ...args],
    { stdio: 'inherit' },
  );
  return new Promise((resolve, reject) => child.once('exit', code => resolve(code ?? 1)).once('error', reject));
}
