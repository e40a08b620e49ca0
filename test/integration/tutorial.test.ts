/** The tutorial is true: its shell blocks, in their order, print what it shows, on the whole pipeline. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { isAsShown, shellBlocksOf } from '../support/shell-blocks.ts';
import { eventually } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
const blocks = shellBlocksOf(readFileSync(join(root, 'query-api/TUTORIAL.md'), 'utf8'));
const directory = mkdtempSync(join(tmpdir(), 'adclicks-tutorial-'));
let pipeline: TestPipeline;
beforeAll(async () => {
  pipeline = await startTestPipeline();
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/** One shell for all blocks: they use each other's variables. */
function openShell(env: Readonly<Record<string, string>>) {
  const shell = spawn('bash', { cwd: directory, env: { PATH: process.env['PATH'], ...env }, stdio: 'pipe' });
  const lines = createInterface(shell.stdout)[Symbol.asyncIterator]();
  let errors = '';
  shell.stderr.on('data', chunk => {
    errors = (errors + chunk).slice(-2_000);
  });
  return {
    async run(script: string): Promise<string> {
      shell.stdin.write(`${script}\necho; echo '-- end --'\n`);
      const printed: string[] = [];
      for (let line = await lines.next(); line.value !== '-- end --'; line = await lines.next()) {
        if (line.done) throw new Error(`the shell has ended: ${errors}`);
        printed.push(line.value);
      }
      return printed.join('\n');
    },
    errors: () => errors,
    async [Symbol.asyncDispose]() {
      shell.stdin.end();
      await once(shell, 'close');
    },
  };
}

/** What only asks may be asked again until the answer is there; what posts is run once. */
const asks = (script: string) => !/ -d | --data-binary | feed /.test(script);

it('prints what it shows, block by block', async () => {
  expect(blocks.length).toBeGreaterThan(10);
  await using shell = openShell({
    ADCLICKS_QUERY_API_URL: pipeline.queryApi.url,
    ADCLICKS_INGEST_URL: pipeline.ingest.url,
  });
  const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  await shell.run(`npx() { shift; '${process.execPath}' '${join(root, bin.adclicks)}' "$@"; }`);
  for (const { script, shown } of blocks) {
    const here = script
      .replaceAll('localhost:8080', new URL(pipeline.ingest.url).host)
      .replaceAll('localhost:8081', new URL(pipeline.queryApi.url).host);
    let printed = await shell.run(here);
    if (shown === undefined) continue;
    const what = () => `${script}printed\n${printed}\nnot\n${shown}\n${shell.errors()}`;
    if (!asks(script)) expect(isAsShown(printed, shown), what()).toBe(true);
    else {
      await eventually('what is shown', async () => {
        if (isAsShown(printed, shown)) return true;
        await sleep(500);
        printed = await shell.run(here);
        return false;
      }).catch(() => expect.fail(what()));
    }
  }
});
