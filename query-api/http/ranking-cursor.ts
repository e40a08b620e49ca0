/** Cursors of a ranking, in which ads are ordered by clicks and then by id. All pages have the minutes of the first page. */

import { Type } from 'typebox';
import type { AdCursor } from '../store/ad-counts.ts';
import type { TimeRange } from '../time/time-range.ts';
import { type RangeRules, rangeOf } from './asked-range.ts';
import { cursorsOf, type Question } from './cursor.ts';

export interface RankingPlace {
  readonly range: TimeRange;
  /** The last ad of the previous page. */
  readonly after: AdCursor & { readonly rank: number };
}

interface Ranked {
  readonly rank: number;
  readonly ad_id: string;
  readonly count: number;
}

const whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Place = Type.Tuple([whole, whole, whole, whole, Type.String({ maxLength: 128 })]);

export function rankingCursorsOf(list: string) {
  const codec = cursorsOf(list, Place);
  return {
    write(
      { from, to }: TimeRange,
      { rank, count, ad_id }: Ranked,
      question: Question,
      sight: string | undefined,
    ): string {
      return codec.write([from, to, rank, count, ad_id], question, sight);
    },

    /** @throws Problem when the text is not a cursor of this ranking */
    read(
      text: string | undefined,
      question: Question,
      sight: string | undefined,
      rules: RangeRules,
    ): RankingPlace | undefined {
      const place = codec.read(text, question, sight);
      if (place === undefined) return undefined;
      const [from, to, rank, count, adId] = place;
      // Anybody can invent a cursor, so its range must follow the rules of all ranges.
      return { range: rangeOf({ from: `${from}`, to: `${to}` }, rules), after: { rank, count, adId } };
    },
  };
}
