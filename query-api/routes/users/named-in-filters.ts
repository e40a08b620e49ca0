/** Finds the stored filters that name a person. */
import { setImmediate } from 'node:timers/promises';
import type { FilterStore } from '../../store/filters/filter-store.ts';

/**
 * Returns the ids of filters that were stored before a time (epoch ms), and whose lists contain a text of the person. A
 * pattern such as `bot-*` names nobody.
 */
export async function filtersNaming(
  filters: Pick<FilterStore, 'list'>,
  isOfPerson: (text: string) => boolean,
  before = Number.POSITIVE_INFINITY,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (let after = ''; ; ) {
    const page = await filters.list(after, pageSize);
    for (const { id, definition, updatedAt } of page) {
      if (definition.user_ids === undefined || updatedAt >= before) continue;
      const { in: included = [], out = [] } = definition.user_ids;
      if ([...included, ...out].some(isOfPerson)) found.push(id);
      // To know a text may cost a hash, and a page has up to 100,000 of them.
      await setImmediate();
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return found;
    after = last.id;
  }
}

const pageSize = 500;
