/** A server that needs a free port of any number gets another one where somebody was faster. */
import { expect, it } from 'vitest';
import { withFreePort } from '../../../infra/embedded/ports.ts';

const taken = () => new Error('ended while starting: java.net.BindException: Address already in use');

it('starts with another port where the first one was taken meanwhile', async () => {
  const ports: number[] = [];
  const started = await withFreePort(async port => {
    ports.push(port);
    if (ports.length < 3) throw taken();
    return port;
  });
  expect([ports.length, started]).toEqual([3, ports[2]]);
});

it('gives up after three ports', async () => {
  let starts = 0;
  const failed = withFreePort(async () => {
    starts++;
    throw taken();
  });
  await expect(failed).rejects.toThrow('Address already in use');
  expect(starts).toBe(3);
});

it('does not try again what failed for another reason', async () => {
  let starts = 0;
  const failed = withFreePort(async () => {
    starts++;
    throw new Error('no Java');
  });
  await expect(failed).rejects.toThrow('no Java');
  expect(starts).toBe(1);
});
