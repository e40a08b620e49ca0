/** The dependencies of the routes of exports. */
import type { ClientSlots } from '../../../infra/client-slots.ts';
import type { Clients } from '../../../infra/http-clients.ts';
import type { RangeRules } from '../../http/asked-range.ts';
import type { StoreFor } from '../../http/store-for.ts';
import type { ExportSlots } from './export-slots.ts';

export interface ExportDeps {
  readonly storeFor: StoreFor;
  readonly clients: Clients;
  /** The limit for one client. It is checked before the limit for all. */
  readonly exportsOf: ClientSlots;
  readonly exportSlots: ExportSlots;
  readonly exportMaxRows: number;
  readonly exportMinBytesPerSecond: number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly rules: () => RangeRules;
}
