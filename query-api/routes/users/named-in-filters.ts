/** Finds the stored filters that name a person. */
import type { FilterStore } from '../../store/filters/filter-store.ts';

/** Returns the ids of filters whose lists contain one of the texts. A pattern such as `bot-*` names nobody. */
export async function filtersNaming(
  filters: Pick<FilterStore, 'list'>,
  texts: ReadonlySet<string>,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (let after = ''; ; ) {
    const page = await filters.list(after, pageSize);
    for (const { id, definition } of page) {
      const { in: included = [], out = [] } = definition.user_ids ?? {};
      if ([...included, ...out].some(userId => texts.has(userId))) found.push(id);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return found;
    after = last.id;
  }
}

const pageSize = 500;
