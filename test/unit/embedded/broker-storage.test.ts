import { expect, it } from 'vitest';
import { mintClusterId } from '../../../infra/embedded/broker-storage.ts';

it('mints cluster ids that no program takes for a flag', () => {
  const ids = Array.from({ length: 2_000 }, mintClusterId);
  expect(ids.filter(id => !/^[A-Za-f][A-Za-z0-9_-]{21}$/.test(id))).toEqual([]);
  expect(new Set(ids).size).toBe(ids.length);
});
