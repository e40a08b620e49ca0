/**
 * Clicks of which it is known who made them, and which of them nobody should pay for: to see what the rules of invalid
 * traffic find, and whom they hit wrongly. One seed decides everything.
 *
 * Facts are as ingest finds them with lists that know part of the world: every crawler that says so, four of five
 * networks of machines, and prefetches of programs that say so.
 */
import type { Click } from '../../ingest/click.ts';
import { facts } from '../../ingest/validity/facts.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { click } from './clicks.ts';

export interface Group {
  readonly name: string;
  /** A click of a person who meant it once is valid. */
  readonly clicks: readonly { readonly click: Click; readonly isInvalid: boolean }[];
}

const minuteMs = 60_000;
const browsers = Array.from({ length: 8 }, (_, i) => `Mozilla/5.0 (X11; Linux x86_64) browser/${i}.0`);

/**
 * Long because it lists the kinds of people and programs one after another.
 */
export function labelledTraffic(seed: number, from: number, minutes: number): Group[] {
  const random = new SeededRandom(seed);
  const at = (minute: number) => from + minute * minuteMs + random.between(0, minuteMs - 1);
  const everyMinute = <T>(of: (minute: number) => readonly T[]) =>
    Array.from({ length: minutes }, (_, i) => of(i)).flat();
  const many = <T>(n: number, of: (i: number) => T) => Array.from({ length: n }, (_, i) => of(i));
  const of = (given: Partial<Click>, isInvalid = false) => ({
    click: click({ adId: `ad-${random.between(1, 5)}`, ...given }),
    isInvalid,
  });
  const addressOf = (net: string, i: number) => `${net}.${(i >> 8) & 255}.${i & 255}`;

  return [
    {
      name: 'people at home',
      clicks: everyMinute(minute =>
        many(400, () => {
          const i = random.between(0, 3_999);
          const known = i % 5 === 0 ? { userId: `home-${i}` } : {};
          return of({ clickedAt: at(minute), ip: addressOf('81.2', i), userAgent: browsers[i % 8]!, ...known });
        }),
      ),
    },
    {
      name: 'people who double-click',
      clicks: everyMinute(minute =>
        many(40, i => {
          const person = { ip: addressOf('82.3', i), userAgent: browsers[i % 8]!, adId: `ad-${1 + (i % 5)}` };
          const clickedAt = Math.min(at(minute), from + (minute + 1) * minuteMs - 201);
          return [of({ ...person, clickedAt }), of({ ...person, clickedAt: clickedAt + 200 }, true)];
        }).flat(),
      ),
    },
    {
      name: '500 people behind one address, with user ids',
      clicks: everyMinute(minute =>
        many(500, i =>
          of({ clickedAt: at(minute), ip: '83.4.0.1', userId: `office-${i}`, userAgent: browsers[0]!, adId: 'ad-1' }),
        ),
      ),
    },
    {
      name: '500 people behind one address, without user ids',
      clicks: everyMinute(minute =>
        many(500, i => of({ clickedAt: at(minute), ip: '83.4.0.2', userAgent: browsers[i % 8]!, adId: 'ad-1' })),
      ),
    },
    {
      name: 'crawlers that say so',
      clicks: everyMinute(minute =>
        many(60, i =>
          of(
            { clickedAt: at(minute), ip: addressOf('66.249', i), userAgent: 'ExampleBot/2.1', facts: facts.bot.bit },
            true,
          ),
        ),
      ),
    },
    {
      name: 'farms in data centres',
      clicks: everyMinute(minute =>
        many(100, () => {
          const i = random.between(0, 499);
          const listed = i % 5 > 0 ? { facts: facts.datacentre.bit } : {};
          return of({ clickedAt: at(minute), ip: addressOf('3.120', i), userAgent: browsers[i % 8]!, ...listed }, true);
        }),
      ),
    },
    {
      name: 'programs that load links beforehand',
      clicks: everyMinute(minute =>
        many(50, i => {
          const said = i % 10 < 7 ? { facts: facts.prefetch.bit } : {};
          return of({ clickedAt: at(minute), ip: addressOf('84.5', i), userAgent: browsers[i % 8]!, ...said }, true);
        }),
      ),
    },
    {
      name: 'scripts of one person each',
      clicks: everyMinute(minute =>
        many(5, i =>
          many(120, () =>
            of({ clickedAt: at(minute), ip: addressOf('85.6', i), userId: `script-${i}`, adId: 'ad-2' }, true),
          ),
        ).flat(),
      ),
    },
    {
      name: 'a click farm behind one address',
      clicks: everyMinute(minute =>
        many(1_500, () =>
          of(
            { clickedAt: at(minute), ip: '86.7.0.1', userId: `farm-${random.between(0, 99_999)}`, adId: 'ad-3' },
            true,
          ),
        ),
      ),
    },
  ];
}
