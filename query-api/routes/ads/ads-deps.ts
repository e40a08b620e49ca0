/** The dependencies of the routes that answer counts. */
import type { ReadDeps } from '../../answers/readings.ts';
import type { RangeRules } from '../../http/asked-range.ts';
import type { KeptForms } from '../../http/kept-forms.ts';
import type { Store } from '../../store/open-store.ts';
import type { ReadBefore } from './stated-answer.ts';

export interface AdsDeps extends ReadDeps, ReadBefore, Pick<Store, 'filters' | 'history' | 'restatements'> {
  readonly rules: () => RangeRules;
  readonly keptForms: KeptForms;
}
