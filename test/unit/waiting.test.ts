/** What the tests themselves wait with: what is not there yet must not pass for what was waited for. */
import { expect, it } from 'vitest';
import { eventually } from '../support/wait.ts';

it.each([undefined, null, false, 0, ''])('goes on waiting after %j, until there is something', async notYet => {
  let asked = 0;
  const found = await eventually('something', () => (++asked < 3 ? notYet : 'something'));
  expect([found, asked]).toEqual(['something', 3]);
});
