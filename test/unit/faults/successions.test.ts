import { expect, it } from 'vitest';
import { createSuccessions, type Successions, toldOf } from '../../faults/successions.ts';

/** Two runners that are well, one of them active. */
function two(): Successions {
  const successions = createSuccessions();
  for (const runner of ['a', 'b']) successions.wellAt(runner, 0);
  successions.term('a', 100, 200);
  return successions;
}

it('counts from the blow while another is there to succeed', () => {
  const successions = two();
  successions.blow('a', 'stop', 1_000);
  successions.term('b', 7_000, 11_500);
  expect(successions.all).toEqual([{ by: 'stop', sinceBlowMs: 10_500, sinceWellMs: 10_500 }]);
  expect(toldOf(successions).violations).toEqual(['I12 a successor within 10.0 s: 10.5 s (10.5 s) after stop']);
});

it('counts from where another is well again, and tells both', () => {
  const successions = two();
  successions.unwellAt('b', 500);
  successions.blow('a', 'stop', 1_000);
  successions.wellAt('b', 9_000);
  successions.term('b', 13_000, 13_500);
  expect(successions.all).toEqual([{ by: 'stop', sinceBlowMs: 12_500, sinceWellMs: 4_500 }]);
  const { note, violations } = toldOf(successions);
  expect(violations).toEqual([]);
  expect(note).toContain('within 4.5 s (median), 4.5 s at most while another runner was there to succeed, of 1');
  expect(note).toContain('from the blow itself, also where none was, 12.5 s (median), 12.5 s at most, of 1');
});

it('counts from the blow where one was there all the time, however often the other comes and goes', () => {
  const successions = two();
  successions.blow('a', 'kill', 1_000);
  successions.wellAt('a', 3_000);
  // Well twice over: the first time counts.
  successions.wellAt('a', 9_000);
  successions.term('a', 13_500, 14_000);
  expect(successions.all).toEqual([{ by: 'kill', sinceBlowMs: 13_000, sinceWellMs: 13_000 }]);
});

it('takes a second blow for that of the successor, and a term of before the blow for none', () => {
  const successions = two();
  successions.blow('a', 'stop', 1_000);
  successions.term('b', 900, 1_200);
  successions.wellAt('a', 4_000);
  successions.blow('b', 'kill', 5_000);
  successions.term('a', 6_000, 6_100);
  expect(successions.all).toEqual([{ by: 'kill', sinceBlowMs: 1_100, sinceWellMs: 1_100 }]);
});

it('takes the end of whoever is active for a blow, and of nobody else', () => {
  const successions = two();
  successions.unwellAt('b', 1_000);
  successions.wellAt('b', 2_000);
  successions.unwellAt('a', 3_000);
  successions.term('b', 4_000, 4_100);
  expect(successions.all).toEqual([{ by: 'its end', sinceBlowMs: 1_100, sinceWellMs: 1_100 }]);
});

it('measures nothing where nobody was well', () => {
  const successions = two();
  successions.unwellAt('b', 500);
  successions.blow('a', 'stop', 1_000);
  successions.term('a', 15_000, 15_100);
  expect(successions.all).toEqual([{ by: 'stop', sinceBlowMs: 14_100, sinceWellMs: undefined }]);
  expect(toldOf(successions).violations).toEqual([]);
});
