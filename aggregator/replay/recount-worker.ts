/**
 * Runs a recount in a worker thread: it holds the state of the range, and does work that would otherwise keep a server
 * from answering.
 */
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../infra/errors.ts';
import { Recount } from './recount.ts';
import type { Answer, Request } from './recount-thread.ts';
import { statedRowsIn } from './stated-rows.ts';

// On Linux each thread has its own priority, so live counting comes first. Elsewhere this would change the whole
// process.
if (process.platform === 'linux') setPriority(0, 10);

/** Of the recount under way. */
let recount: Recount | undefined;

parentPort?.on('message', (request: Request) => {
  if (request.kind === 'forget') {
    recount = undefined;
    return;
  }
  try {
    parentPort?.postMessage(answer(request));
  } catch (error) {
    parentPort?.postMessage({ error: messageOf(error) } satisfies Answer);
  }
});

function answer(request: Exclude<Request, { kind: 'forget' }>): Answer {
  if (request.kind === 'begin') {
    recount = new Recount(request.settings);
    return {};
  }
  if (recount === undefined) throw new Error('no recount has begun');
  if (request.kind === 'compare') {
    return {
      lines: recount.drainLines(request.until),
      changes: recount.compare(request.until, request.stated.flatMap(statedRowsIn)),
    };
  }
  if (request.kind === 'judge') recount.judgeBy(request.rules);
  else recount.feed(request.page);
  return { minute: recount.minute };
}
