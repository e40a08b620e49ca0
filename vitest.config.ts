import { defineConfig } from 'vitest/config';

// Each file is a process of its own (forks): one that ends takes its servers with it, and no other.
const shared = { pool: 'forks' as const, fileParallelism: true };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/simulation/**/*.test.ts', 'test/*.test.ts'],
          // Many of them wait for timers and processes of their own, so two cores have time for three.
          maxWorkers: 3,
          // Ends what hangs; how long a busy machine takes says nothing.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          ...shared,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          // Each brings up a broker and a ClickHouse, and there may be two cores; but they mostly wait.
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          ...shared,
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
