/**
 * Both services on a real broker and a real engine, asked whatever their documents allow, and much that they do not:
 *
 *     npm run schemathesis -- [--examples 1000] [--seed 1] [--only query-api|ingest]
 *
 * Every answer must have a documented status, media type and shape, and none may be a server error. Jobs that it starts
 * recount clicks of its own, in a store that is thrown away. Ends with 1 if a check failed, 77 if it could not run here.
 */
import { parseArgs } from 'node:util';
import { clickStream } from '../support/click-stream.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';
import { ensureSchemathesis, NotAvailable, runSchemathesis } from './schemathesis.ts';

const { values } = parseArgs({
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
  return 77;
});

async function main(): Promise<number> {
  const program = await ensureSchemathesis(message => console.log(message));
  // Minutes become final within seconds, so that jobs find something to recount.
  await using pipeline = await startTestPipeline({ OUT_OF_ORDERNESS_MS: '500', ALLOWED_LATENESS_MS: '500' });
  await postClicks(pipeline);
  const services = [
    // What listens is never done, so no request of it could end: /v1/live has tests of its own.
    { name: 'query-api', url: pipeline.store.url, without: ['listen'] },
    { name: 'ingest', url: pipeline.ingest.url, without: [] },
  ];
  const results: boolean[] = [];
  for (const { name, ...service } of services) {
    if (values.only !== '' && values.only !== name) continue;
    console.log(`\n— ${name}, ${given.examples} examples for each operation, seed ${given.seed}`);
    results.push(await runSchemathesis(program, { ...service, ...given }));
  }
  return results.every(Boolean) ? 0 : 1;
}

/** Clicks of a few ads, with copies, and one that is too late: something to answer with. */
async function postClicks(pipeline: TestPipeline): Promise<void> {
  const clicks = clickStream({ ads: 30, seed: given.seed }).take(500);
  const body = clicks.map(({ adId, eventId, clickedAt, country }) => {
    return { ad_id: adId, event_id: eventId, clicked_at: clickedAt, country };
  });
  await pipeline.post(body);
  await pipeline.post({ ad_id: 'ad-late', event_id: 'late', clicked_at: Date.now() - 3_600_000 });
  await eventually('clicks counted', async () => {
    const { conservation } = await pipeline.get<{ conservation: { received: number } }>('/v1/status');
    return conservation.received > clicks.length;
  });
}
