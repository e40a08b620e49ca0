/**
 * Determines which clicks a request for counts asks for. A range whose raw clicks are no longer kept is refused here, for
 * every route, so that no route can forget it and answer with too few clicks. So are net clicks of raw clicks.
 */
import { isFromRaw, type Wanted } from '../../answers/readings.ts';
import { type AskedClicks, checkClicks } from '../../http/asked-clicks.ts';
import { type AskedFilter, checkRaw, filterOf } from '../../http/asked-filter.ts';
import type { AdStore } from '../../store/ad-store.ts';
import type { Stated } from '../../store/sql/stated-rows.ts';
import type { TimeRange } from '../../time/time-range.ts';
import type { AdsDeps } from './ads-deps.ts';

export interface WantedParts {
  /** Empty or left out: all ads. */
  readonly adIds?: Wanted['adIds'];
  readonly uniques?: boolean;
  /** The range to compare with, which is read too. */
  readonly before?: TimeRange | undefined;
}

/** @throws Problem when a filter is invalid, or when raw clicks of the range would be needed and are no longer kept */
export async function wantedClicks(
  { filters, keptForms, rules }: Pick<AdStore, 'filters'> & Pick<AdsDeps, 'keptForms' | 'rules'>,
  asked: AskedFilter & AskedClicks,
  range: TimeRange,
  { adIds = [], uniques = false, before }: WantedParts = {},
): Promise<Omit<Wanted, keyof Stated>> {
  const both = {
    from: Math.min(range.from, before?.from ?? range.from),
    to: Math.max(range.to, before?.to ?? range.to),
  };
  const { clicks, reasons = false } = asked;
  const filter = await filterOf(asked, both, { filters, keptForms });
  const wanted = { ...range, adIds, filter, uniques, reasons, ...(clicks && { clicks }) };
  checkClicks(asked, isFromRaw(wanted));
  if (isFromRaw(wanted)) checkRaw(before ?? range, rules());
  return wanted;
}
