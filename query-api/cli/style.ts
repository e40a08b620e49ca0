/** Writes values with marks, colours and separators for a person at a terminal, and without them for a pipe. Pure. */
import { styleText } from 'node:util';
import { millisecondsInDay, millisecondsInHour, millisecondsInMinute } from 'date-fns/constants';
import type { AnswerOf } from '../client/client.ts';

export type State = AnswerOf<'getAggregatedCount'>['state'];
type Format = Parameters<typeof styleText>[0];

export interface Style {
  readonly count: (value: number) => string;
  readonly state: (state: State) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly faint: (text: string) => string;
}

export function styleFor({ isTerminal, hasColour }: { isTerminal: boolean; hasColour: boolean }): Style {
  const paint = (format: Format) => (text: string) =>
    hasColour ? styleText(format, text, { validateStream: false }) : text;
  const [green, red, dim] = [paint('green'), paint('red'), paint('dim')];
  const colours = { final: green, provisional: paint('yellow'), restated: paint('magenta') };
  return {
    count: value => (isTerminal ? value.toLocaleString('en-US') : `${value}`),
    state: state => (isTerminal ? colours[state](`${marks[state]} ${state}`) : state),
    good: green,
    bad: red,
    faint: dim,
  };
}

/** `1 click`, `2 clicks`. */
export function counted(
  value: number,
  one: string,
  many = `${one}s`,
  count: (value: number) => string = String,
): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Writes `2025-11-22T08:26:00.000Z` as `2025-11-22T08:26:00Z`. Every service accepts a printed time as it stands. */
export function shortTime(iso: string | null): string {
  return iso === null ? '-' : iso.replace(/\.000Z$/, 'Z');
}

/** 950 ms, 3.2 s, 4.5 min, 3.0 h, 2.1 d. */
export function shortDuration(ms: number | null): string {
  if (ms === null) return '-';
  if (ms < 1_000) return `${ms} ms`;
  const [unit, lengthMs] = units.findLast(([, length]) => ms >= length) ?? ['s', 1_000];
  return `${(ms / lengthMs).toFixed(1)} ${unit}`;
}

const marks = { final: '●', provisional: '◌', restated: '↻' } as const satisfies Record<State, string>;
const units = [
  ['s', 1_000],
  ['min', millisecondsInMinute],
  ['h', millisecondsInHour],
  ['d', millisecondsInDay],
] as const;
