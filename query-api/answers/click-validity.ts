/**
 * Says of each counted copy of a click whether the click is valid: by the version of the rules by which its cell was
 * judged, and by which of these rules. Its duplicates count as well: a click is as good as its best copy
 * (ingest/validity/rules.ts). Where that cannot be found out, it says so instead of guessing.
 */

import type { InvalidReason, ValidityRules } from '../../ingest/validity/rules.ts';
import { adClicksRead, type Cell, type CellQueries, cellClicksRead } from '../store/cell-clicks.ts';
import type { Copy } from './click-trail.ts';
import { invalidLetters, invalidOf, needsCaps, reasonOfFacts } from './judged-clicks.ts';

export interface Validity {
  /** Null: the copy is not counted. */
  readonly validity: 'valid' | 'invalid' | 'unknown' | null;
  /** The rule that it breaks. */
  readonly invalid_reason: InvalidReason | null;
  /** The version of the rules. Null: not known, or the copy is not counted. */
  readonly rules: number | null;
}

export interface ValidityDeps {
  readonly cells: CellQueries;
  /** Returns undefined when the rules of the version are not known. */
  readonly rulesOf: (version: number) => ValidityRules | undefined;
  /** Whether an ad has more copies than the given ones. */
  readonly isCutOf: (adId: string) => boolean;
}

/**
 * Reading a cell may cost as much as other reads of raw clicks, and an event id is mostly one click. Of clicks in further
 * cells only the facts are looked at.
 */
const cellsJudged = 5;

export interface JudgedCopy extends Copy, Validity {}

/** Returns the copies with their validity, in the same order. All are of one event id. */
export async function validityOf(
  eventId: string,
  copies: readonly Copy[],
  { cells, rulesOf, isCutOf }: ValidityDeps,
): Promise<JudgedCopy[]> {
  const counted = copies.filter(isCounted);
  const found = await cells.rules(
    [...new Set(counted.map(({ ad_id }) => ad_id))],
    [...new Set(counted.map(({ minute }) => minute))],
  );
  const versions = new Map(found.map(row => [keyOf(row), row.rules]));
  const read = new Map<string, ReadonlyMap<string, InvalidReason> | undefined>();
  /** Whether it is known that a cell has too many clicks. To read them would cost as much as an answer. */
  const isTooLarge = ({ ad_id, minute, country }: Cell) => {
    const ofAd = found.filter(row => row.ad_id === ad_id && row.minute === minute);
    const inCell = ofAd.find(row => row.country === country)?.clicks ?? 0;
    return inCell > cellClicksRead || ofAd.reduce((sum, { clicks }) => sum + clicks, 0) > adClicksRead;
  };
  const invalidIn = async (cell: Cell, rules: ValidityRules) => {
    const key = keyOf(cell);
    if (!read.has(key)) {
      const isRead = read.size < cellsJudged && !isTooLarge(cell);
      const clicks = isRead ? await cells.clicks(cell, invalidLetters(rules)) : undefined;
      read.set(key, clicks && invalidOf(clicks, rules));
    }
    return read.get(key);
  };

  const judge = async (copy: Copy): Promise<Validity> => {
    if (!isCounted(copy)) return { validity: null, invalid_reason: null, rules: null };
    const version = versions.get(keyOf(copy));
    if (version === 0) return { validity: 'valid', invalid_reason: null, rules: 0 };
    const rules = version === undefined ? undefined : rulesOf(version);
    const unknown = { validity: 'unknown', invalid_reason: null, rules: version ?? null } as const;
    const said = copies.filter(other => isCopyOf(other, copy)).map(({ facts }) => facts);
    if (rules === undefined || said.includes(null)) return unknown;
    // A better one may be among those that are not here, or it may have come too late and still wait.
    if (isCutOf(copy.ad_id) && reasonOfFacts(copy.facts ?? '', rules) !== null) return unknown;
    const letters = bestOf(said as readonly string[], rules);
    const by = (reason: InvalidReason | undefined): Validity =>
      reason === undefined
        ? { ...unknown, validity: 'valid' }
        : { ...unknown, validity: 'invalid', invalid_reason: reason };
    const byFacts = reasonOfFacts(letters, rules);
    if (byFacts !== null) return by(byFacts);
    if (!needsCaps(letters, rules)) return by(undefined);
    const invalid = await invalidIn(copy, rules);
    return invalid === undefined ? unknown : by(invalid.get(eventId));
  };

  const judged: JudgedCopy[] = [];
  for (const copy of copies) judged.push({ ...copy, ...(await judge(copy)) });
  return judged;
}

/** Whether the click of a counted copy was judged with the other one, too. One that came too late waits for a job. */
function isCopyOf({ ad_id, minute, reason, job }: Copy, counted: Copy): boolean {
  return ad_id === counted.ad_id && minute === counted.minute && (reason === null || job !== null);
}

/** Returns the facts of the first copy that they make valid, or else of the one whose reason applies first. */
function bestOf(said: readonly string[], rules: ValidityRules): string {
  const letters = invalidLetters(rules);
  const badness = (of: string) =>
    reasonOfFacts(of, rules) === null ? -1 : letters.findIndex(each => of.includes(each));
  return said.reduce((best, of) => (badness(of) < badness(best) ? of : best));
}

function isCounted({ outcome }: Copy): boolean {
  return outcome === 'counted' || outcome === 'restated';
}

function keyOf({ ad_id, country, minute }: Cell): string {
  return `${minute} ${country} ${ad_id}`;
}
