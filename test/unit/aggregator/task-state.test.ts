import { describe, expect, it } from 'vitest';
import { allowedTransitions, type TaskState, transition } from '../../../aggregator/task-state.ts';

const states = Object.keys(allowedTransitions) as TaskState[];
const pairs = states.flatMap(from => states.map(to => [from, to] as const));
const isAllowed = (from: TaskState, to: TaskState) => allowedTransitions[from].includes(to);

describe('task states', () => {
  it.each(pairs.filter(pair => isAllowed(...pair)))('change from %s to %s', (from, to) => {
    expect(transition(from, to)).toBe(to);
  });

  it.each(pairs.filter(pair => !isAllowed(...pair)))('never change from %s to %s', (from, to) => {
    expect(() => transition(from, to)).toThrow(`A task cannot change from ${from} to ${to}.`);
  });

  it('let a task count only after a restore, and leave a halt only by being closed', () => {
    expect(states.filter(from => isAllowed(from, 'running'))).toEqual(['restoring']);
    expect(allowedTransitions.halted).toEqual(['closed']);
    expect(allowedTransitions.closed).toEqual([]);
  });
});
