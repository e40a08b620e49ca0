/**
 * Which code the unit tests and the simulation run, and which nothing of them runs:
 *
 *     npm run coverage -- [--html]
 *
 * Prints a table of the rooms, then the files that no test loads, and the number of functions that nothing calls. All of
 * them are listed in `coverage/not-run.txt`; with `--html` there are pages with each line, too (`coverage/index.html`).
 * Folder `coverage/` is ignored by Git. There is no threshold: a percentage is not a promise. Ends with 1 if a test failed.
 *
 * What runs as a process of its own is not measured: the `main.ts` of each process, and what only integration and browser
 * tests reach (Kafka, ClickHouse, the dashboard's page). So a function listed here is not dead yet, but a place to look.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join, relative } from 'node:path';
import { scriptOptions } from '../support/script-options.ts';
import { type CoveredFile, notRun, roomTable } from './not-run.ts';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'coverage');
const { values } = scriptOptions(import.meta.filename, { options: { html: { type: 'boolean', default: false } } });

const reporters = ['json', ...(values.html ? ['html'] : [])].map(name => `--coverage.reporter=${name}`);
const args = ['run', '--project', 'unit*', '--project', 'simulation', '--reporter=dot', '--coverage', ...reporters];
const { status } = spawnSync('vitest', args, {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, PATH: [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter) },
});

const report = JSON.parse(readFileSync(join(folder, 'coverage-final.json'), 'utf8')) as Record<string, CoveredFile>;
const files = Object.entries(report).map(([path, file]) => ({ ...file, path: relative(root, path) }));
const { unloaded, functions } = notRun(files);
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'not-run.txt'), [...unloaded, ...functions].map(line => `${line}\n`).join(''));

console.log(`\n${roomTable(files)}\n`);
console.log(`${unloaded.length} files are loaded by none of these tests${unloaded.length === 0 ? '' : ':'}`);
for (const path of unloaded) console.log(`  ${path}`);
console.log(`${functions.length} functions of other files are called by none of them: coverage/not-run.txt`);
process.exitCode = status === 0 ? 0 : 1;
