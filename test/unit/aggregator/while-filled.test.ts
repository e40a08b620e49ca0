import { expect, it, vi } from 'vitest';
import { whileFilled } from '../../../aggregator/sink/while-filled.ts';
import { pause } from '../../../infra/pause.ts';

/** A node whose sink opens when it is told to, and that is emptied when it is told to. */
function node() {
  const state = { isFilled: true, isOpen: false, said: [] as string[], looks: 0 };
  const opens = Promise.withResolvers<void>();
  return {
    state,
    opens,
    lookEveryMs: 5,
    isStillFilled: async () => {
      state.looks++;
      return state.isFilled;
    },
    onRunning: (opened: unknown) => void state.said.push(opened === undefined ? 'closing' : 'running'),
    async open(signal: AbortSignal) {
      await Promise.race([opens.promise, pause(60_000, signal)]);
      if (signal.aborted) throw new Error('ended before it was open');
      state.isOpen = true;
      return {
        async [Symbol.asyncDispose]() {
          state.isOpen = false;
        },
      };
    },
  };
}

it('ends what is still being opened when the node is emptied', async () => {
  const one = node();
  const ended = whileFilled(one, new AbortController().signal);
  await vi.waitFor(() => expect(one.state.looks).toBeGreaterThan(1));
  one.state.isFilled = false;
  await ended;
  expect(one.state).toMatchObject({ isOpen: false, said: [] });
});

it('closes what runs when the node is emptied, and says so before', async () => {
  const one = node();
  const ended = whileFilled(one, new AbortController().signal);
  one.opens.resolve();
  await vi.waitFor(() => expect(one.state).toMatchObject({ isOpen: true, said: ['running'] }));
  one.state.isFilled = false;
  await ended;
  expect(one.state).toMatchObject({ isOpen: false, said: ['running', 'closing'] });
});

it.each(['before it is open', 'while it runs'])('ends when it is told to, %s, and looks no more', async when => {
  const one = node();
  const closing = new AbortController();
  const ended = whileFilled(one, closing.signal);
  if (when === 'while it runs') one.opens.resolve();
  await vi.waitFor(() => expect(one.state.looks).toBeGreaterThan(1));
  closing.abort();
  await ended;
  const { looks } = one.state;
  await pause(30);
  expect(one.state).toMatchObject({ isOpen: false, looks });
});

it('fails with what fails to open, and looks no more', async () => {
  const one = node();
  const ended = whileFilled(one, new AbortController().signal);
  one.opens.reject(new Error('no such group'));
  await expect(ended).rejects.toThrow('no such group');
  const { looks } = one.state;
  await pause(30);
  expect(one.state.looks).toBe(looks);
});
