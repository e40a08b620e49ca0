/**
 * Runs a recount in a worker thread: it holds the state of the range, and does work that would otherwise keep a server
 * from answering.
 */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../infra/errors.ts';
import { Recount, type RecountSettings } from './recount.ts';
import type { Answer, Request } from './recount-thread.ts';
import { statedRowsIn } from './stated-rows.ts';

// On Linux each thread has its own priority, so live counting comes first. Elsewhere this would change the whole
// process.
if (process.platform === 'linux') setPriority(0, 10);

const recount = new Recount(workerData as RecountSettings);

parentPort?.on('message', (request: Request) => {
  try {
    parentPort?.postMessage(answer(request));
  } catch (error) {
    parentPort?.postMessage({ error: messageOf(error) } satisfies Answer);
  }
});

function answer(request: Request): Answer {
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
