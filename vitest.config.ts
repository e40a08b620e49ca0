import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { compileCache } from './infra/compile-cache.ts';
import { LongestFirst } from './test/support/longest-first.ts';

// Of the processes that run the tests, which inherit it.
process.env['NODE_COMPILE_CACHE'] ??= compileCache;

/** Ends what hangs. How long a busy machine takes says nothing, so no test has a limit of its own. */
const patient = { testTimeout: 900_000, hookTimeout: 900_000 };
/**
 * Node loads the tests as it loads the code in production: it strips the types itself. Vite's own loader would transform
 * each file anew in each run, and every use of an import goes through a getter.
 */
const native = { experimental: { viteModuleRunner: false, nodeLoader: false } };
/**
 * For every Java that a test starts: its first compiler alone. What the second one saves a broker in a minute is less than
 * it costs: half of the broker's CPU time (test/COSTS.md).
 */
const env = { JDK_JAVA_OPTIONS: '-XX:TieredStopAtLevel=1' };
const inMemory = 'test/support/memory-scratch.ts';
const withBrokers = [inMemory, 'test/support/many-brokers.ts'];
/** These load parts of kafkajs before that is replaced, to compare with them or to see one replacement alone. */
const kafkajs = [
  ...['bounded-requests', 'checked-answers', 'fetch-decoder', 'fetch-loop', 'group-coordinator', 'group-membership'],
  ...['idle-fetches', 'lost-acknowledgement', 'metadata-refresh', 'produce-request', 'quiet-connections'],
].map(name => `test/unit/infra/kafka/${name}.test.ts`);
// Each file is a process of its own (forks): one that ends takes its servers with it, and no other.
const apart = { pool: 'forks' as const, env, globalSetup: [inMemory], ...native, ...patient };

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // `npm run coverage` (test/coverage/run.ts).
    coverage: {
      provider: 'v8',
      include: ['ingest/**/*.ts', 'aggregator/**/*.ts', 'query-api/**/*.{ts,js}', 'infra/**/*.ts'],
      exclude: ['test/**'],
      reportsDirectory: 'coverage',
      reportOnFailure: true,
    },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/*.test.ts'],
          exclude: kafkajs,
          pool: 'forks',
          // In memory and on loopback sockets only, so files can share a process: to start one and to load the code
          // again for each would take as long as the tests. Some wait for timers, so two cores have time for four.
          isolate: false,
          maxWorkers: 2 * availableParallelism(),
          setupFiles: ['test/support/compiled-once.ts', 'test/support/kafkajs-replaced.ts'],
          globalSetup: [inMemory],
          ...native,
          ...patient,
        },
      },
      // What replaces functions of kafkajs does so once in a process, before kafkajs is loaded.
      { test: { ...apart, name: 'unit-kafka', include: kafkajs, maxWorkers: 2 * availableParallelism() } },
      // Processes of their own that are stopped, killed or hang, and what waits for real seconds.
      { test: { ...apart, name: 'processes', include: ['test/processes/**/*.test.ts'], maxWorkers: 4 } },
      {
        test: {
          ...apart,
          name: 'simulation',
          include: ['test/simulation/**/*.test.ts'],
          maxWorkers: availableParallelism(),
        },
      },
      // Each brings up a broker and a ClickHouse, and waits for half of its time.
      {
        test: {
          ...apart,
          globalSetup: withBrokers,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          maxWorkers: Math.max(3, availableParallelism()),
        },
      },
      // With a real nginx, where there is one (test/run.ts).
      { test: { ...apart, globalSetup: withBrokers, name: 'proxy', include: ['test/proxy/**/*.test.ts'] } },
      {
        test: {
          ...apart,
          globalSetup: withBrokers,
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          fileParallelism: false,
        },
      },
    ],
  },
});
