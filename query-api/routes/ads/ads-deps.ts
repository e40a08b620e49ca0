/** The dependencies of the routes that answer counts. */
import type { RangeRules } from '../../http/asked-range.ts';
import type { KeptForms } from '../../http/kept-forms.ts';
import type { StoreFor } from '../../http/store-for.ts';

export interface AdsDeps {
  readonly storeFor: StoreFor;
  readonly rules: () => RangeRules;
  readonly keptForms: KeptForms;
}
