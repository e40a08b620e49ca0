/**
 * Both services on a real broker and a real ClickHouse, asked whatever their documents allow, and much that they do not:
 *
 *     npm run schemathesis -- [--examples 1000] [--seed 1] [--only query-api|ingest]
 *
 * Every answer must have a documented status, media type and shape, and none may be a server error; and each operation
 * must have succeeded at least once. Jobs that it starts recount clicks of its own, in a store that is thrown away. Ends
 * with 1 if a check failed, 77 if it could not run here.
 */
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { openKeyLog } from '../../infra/keys/key-log.ts';
import { operatorAtBroker } from '../../infra/keys/key-record.ts';
import { createdKey } from '../../infra/keys/new-key.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { scriptOptions } from '../support/script-options.ts';
import { eventually } from '../support/wait.ts';
import { knownValues } from './known-values.ts';
import { couldNotRun, ensureSchemathesis, NotAvailable, runSchemathesis } from './schemathesis.ts';
import { neverSucceeded } from './successes.ts';

const { values } = scriptOptions(import.meta.filename, {
  options: {
    examples: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
  },
});
const given = { examples: Number(values.examples), seed: Number(values.seed) };
process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof NotAvailable)) throw error;
  console.error(`NOT run: ${error.message}`);
  return couldNotRun;
});

async function main(): Promise<number> {
  const program = await ensureSchemathesis(message => console.log(message));
  // Minutes become final within seconds, so that jobs find something to recount.
  await using pipeline = await startTestPipeline({ OUT_OF_ORDERNESS_MS: '500', ALLOWED_LATENESS_MS: '500' });
  const apiKey = await firstKey(pipeline);
  const known = await knownValues(pipeline, apiKey, given.seed);
  const services = [
    // What listens is never done, so no request of it could end: /v1/live has tests of its own.
    { name: 'query-api', url: pipeline.queryApi.url, without: ['listen', 'growPartitions'] },
    // Nobody makes up a signature: link-check.test.ts has links that are right, and alters them.
    { name: 'ingest', url: pipeline.ingest.url, without: ['followClickLink'] },
  ];
  let failed = 0;
  for (const { name, ...service } of services) {
    if (values.only !== '' && values.only !== name) continue;
    console.log(`\n— ${name}, ${given.examples} examples for each operation, seed ${given.seed}`);
    if (!(await runSchemathesis(program, { ...service, ...given, known, apiKey }))) failed++;
    const never = await neverSucceeded(service.url, service.without);
    if (never.length > 0) failed++;
    console.log(never.length === 0 ? 'every operation has succeeded, too' : `never succeeded: ${never.join(', ')}`);
  }
  return failed === 0 ? 0 : 1;
}

/** As `adclicks-server keys create --scope admin` makes it. Ingest and query API know it a moment later. */
async function firstKey({ env, queryApi }: TestPipeline): Promise<string> {
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'test', createLog('test', 'error'));
  const { text, change } = createdKey({ label: 'first', scopes: ['admin'] }, { by: operatorAtBroker }, Date.now());
  await using keys = openKeyLog(kafka, names(''));
  await keys.append(change);
  const headers = { authorization: `Bearer ${text}` };
  await eventually('the key is known', async () => (await fetch(`${queryApi.url}/v1/keys`, { headers })).ok);
  return text;
}
