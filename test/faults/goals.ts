/** The rounds: a short one for every test run, and the full set for the report. */
import type { RoundGoal } from './round.ts';

const calm: Omit<RoundGoal, 'name'> = {
  kills: 0,
  zombies: 0,
  lostAnswers: 0,
  only: '',
  bounces: 0,
  cuts: 0,
  poisons: 0,
  joins: 0,
  awayMs: 0,
  diskFullMs: 0,
  replays: false,
  guarantee: 'exactly_once',
  longestStormMs: 15 * 60_000,
};

export const shortRound: RoundGoal = {
  ...calm,
  name: 'short',
  kills: 30,
  zombies: 3,
  lostAnswers: 1,
  bounces: 2,
  cuts: 15,
  poisons: 13,
  joins: 1,
  longestStormMs: 600_000,
};

export const fullRounds: readonly RoundGoal[] = [
  { ...calm, name: 'kill -9', kills: 220, lostAnswers: 10, cuts: 30 },
  { ...calm, name: 'zombies', zombies: 50, kills: 20, cuts: 30 },
  { ...calm, name: 'restatement', kills: 4, zombies: 1, only: 'restatement' },
  { ...calm, name: 'job runners', kills: 40, zombies: 20, only: 'jobs,restatement', replays: true },
  { ...calm, name: 'cut replies', kills: 20, cuts: 80 },
  { ...calm, name: 'broker', bounces: 30, kills: 30, cuts: 30 },
  {
    ...calm,
    name: 'away and full',
    kills: 20,
    cuts: 20,
    joins: 15,
    poisons: 130,
    awayMs: 60_000,
    diskFullMs: 20_000,
  },
  { ...calm, name: 'at least once', kills: 50, cuts: 10, guarantee: 'at_least_once' },
];
