import { describe, expect, it } from 'vitest';
import { hold, release, takeMemory } from '../../../../infra/kafka/answer-memory.ts';

const large = 3 << 20;

describe('memory of large answers', () => {
  it('is used again once every part held has been released, and not before', () => {
    const answer = takeMemory(large);
    const parts = [answer.subarray(0, 1_000), answer.subarray(1_000)];
    for (const part of parts) hold(part);
    release(parts[0]!);
    expect(takeMemory(large).buffer).not.toBe(answer.buffer);
    release(parts[1]!);
    expect(takeMemory(large).buffer).toBe(answer.buffer);
  });

  it('is not used again where a part is never released', () => {
    const answer = takeMemory(large);
    hold(answer);
    for (let i = 0; i < 10; i++) expect(takeMemory(large).buffer).not.toBe(answer.buffer);
  });

  it('serves a smaller answer, and leaves small ones alone', () => {
    const answer = takeMemory(large);
    hold(answer);
    release(answer);
    const smaller = takeMemory(large / 2);
    expect(smaller.buffer).toBe(answer.buffer);
    expect(smaller.length).toBe(large / 2);
    const small = takeMemory(100);
    hold(small);
    release(small);
    expect(small.length).toBe(100);
  });
});
