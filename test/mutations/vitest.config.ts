/** The tests of the main configuration, with the bug that MUTATION names in the file concerned. */
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { mutated, mutationNamed } from './mutations.ts';

const root = join(import.meta.dirname, '../..');
const mutation = mutationNamed(process.env['MUTATION'] ?? '');

export default defineConfig({
  root,
  plugins: [
    {
      name: 'mutation',
      enforce: 'pre',
      transform: (code, id) => (id === join(root, mutation.file) ? mutated(mutation, code) : undefined),
    },
  ],
  test: { pool: 'forks', testTimeout: 120_000, hookTimeout: 120_000 },
});
