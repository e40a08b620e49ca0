/**
 * Stops a fetch manager in the moment in which one broker has gone and another has come, as a program of its own: it may
 * never end. Prints `stopped` where the manager ends, and `spins` where it fetches for ever without giving the event loop
 * a turn. argv: whose manager, `kafkajs` or `ours`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createFetchLoop, type FetchLoop, fetchManagerOfKafkajs } from '../../infra/kafka/fetch-loop.ts';

const logger: object = { namespace: () => logger, debug() {}, info() {} };
/** No loop that lives comes to so many between two turns. */
const mostInOneTurn = 100_000;

let nodeIds = ['1', '2'];
let running = true;
let inThisTurn = 0;
const options = {
  getNodeIds: () => nodeIds,
  concurrency: 1,
  handler: async () => {},
  // What kafkajs' runner does: once it is to stop, it returns at once.
  async fetch(nodeId: string) {
    if (running) await sleep(nodeId === '2' ? 300 : 20);
    else if (inThisTurn++ === 0) setImmediate(() => (inThisTurn = 0));
    else if (inThisTurn > mostInOneTurn) end('spins');
    return [];
  },
};
const manager: FetchLoop =
  process.argv[2] === 'kafkajs' ? fetchManagerOfKafkajs({ ...options, logger }) : createFetchLoop(options);

const ended = manager.start();
await sleep(100);
nodeIds = ['2', '3'];
await sleep(50);
running = false;
await manager.stop();
await ended;
end('stopped');

function end(how: string): never {
  console.log(how);
  process.exit(0);
}
