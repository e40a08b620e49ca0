/**
 * Stores filters with ids that were never used before, one after the other, as long as there are not too many ids.
 *
 * Ids are counted in ClickHouse, which does not show at once what is written. So while this process has written one that
 * is not shown yet, for instance because no sink runs, it writes no other. Several processes that store filters at the
 * same moment exceed the limit by one each, at most. That does no harm: who reads filters takes any number of them.
 */
import { brokenRule } from '../../../infra/broken-rule.ts';
import { Problem } from '../../../infra/problem.ts';
import { inTurn } from '../../http/in-turn.ts';
import type { FilterDefinition } from '../../store/filters/filter-definition.ts';
import { type FilterStore, maxFilters, type StoredFilter } from '../../store/filters/filter-store.ts';

export interface NewFiltersDeps {
  readonly filters: Pick<FilterStore, 'has' | 'count' | 'put'>;
  /** Epoch ms. */
  readonly now: () => number;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
}

/** @throws Problem when there are too many, or when it is not known how many there are; Retryable, as `put` does */
export type PutNewFilter = (id: string, definition: FilterDefinition) => Promise<StoredFilter>;

export function createNewFilters({ filters, now, clock = () => performance.now() }: NewFiltersDeps): PutNewFilter {
  const turns = inTurn('new filters');
  let unseen: { readonly id: string; readonly untilMs: number } | undefined;

  const requireSeen = async (id: string) => {
    if (unseen === undefined || unseen.id === id) return;
    if (clock() < unseen.untilMs && !(await filters.has(unseen.id))) throw notShown(unseen.id);
    unseen = undefined;
  };
  return (id, definition) =>
    turns(async () => {
      await requireSeen(id);
      if (!(await filters.has(id)) && (await filters.count()) >= maxFilters) throw tooMany(id);
      try {
        return await filters.put(id, definition, now());
      } catch (error) {
        // A problem says that it is in the log, where it stays. Otherwise nobody knows, and it may never be shown.
        const forMs = error instanceof Problem ? Number.POSITIVE_INFINITY : mostUnseenMs;
        unseen = { id, untilMs: clock() + forMs };
        throw error;
      }
    });
}

/** What is not shown after so long did not come into the log. */
const mostUnseenMs = 60_000;

function notShown(id: string): Problem {
  const detail = `no further filter is stored while filter "${id}", which was stored before, is not visible: is a sink running?`;
  return new Problem(503, 'unavailable', detail, {}, 1);
}

function tooMany(id: string): Problem {
  const rule = `must be an id that is or was used, because there are already ${maxFilters}, those of deleted filters included`;
  return new Problem(409, 'too_many_filters', brokenRule('id', id, rule, 'replace one of them'));
}
