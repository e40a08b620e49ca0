import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { clientText, generatedPath } from '../../../support/client-text.ts';

it('the operations of the client are those of the routes (npm run client writes them)', async () => {
  const committed = readFileSync(join(import.meta.dirname, '../../../..', generatedPath), 'utf8');
  expect(committed).toBe(await clientText());
});
