import { expect, it } from 'vitest';
import { heartbeatMsOf } from '../../../../infra/kafka/group-consumer.ts';

it('comes four times in a session, every three seconds at least, or as often as its owner says', () => {
  expect(heartbeatMsOf({ sessionTimeoutMs: 6_000 })).toBe(1_500);
  expect(heartbeatMsOf({ sessionTimeoutMs: 30_000 })).toBe(3_000);
  expect(heartbeatMsOf({ sessionTimeoutMs: 6_000, heartbeatMs: 500 })).toBe(500);
  expect(heartbeatMsOf({ sessionTimeoutMs: 1_000, heartbeatMs: 500 })).toBe(250);
});
