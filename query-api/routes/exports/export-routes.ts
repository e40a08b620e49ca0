/** Registers the routes of exports: clicks, counts by minute, lines in quarantine, and what is kept of a person. All share one limit per client. */
import { clientSlots } from '../../../infra/client-slots.ts';
import type { Http } from '../../../infra/http.ts';
import type { KeyQuotas } from '../../../infra/key-quotas/key-quotas.ts';
import type { QueryApiConfig } from '../../config.ts';
import type { ExportDeps } from './export-deps.ts';
import { createExportSlots } from './export-slots.ts';
import { routeExports } from './exports.ts';
import { routeQuarantineExport } from './quarantine-export.ts';
import { routeUserExport, type UserExportDeps } from './user-export.ts';

export interface ExportRoutesOptions extends Omit<ExportDeps & UserExportDeps, keyof ReturnType<typeof limitsOf>> {
  readonly config: QueryApiConfig;
  readonly quotas: KeyQuotas;
}

export function routeAllExports(http: Http, { config, quotas, ...deps }: ExportRoutesOptions): void {
  const limits = limitsOf(config, quotas);
  http.addHook('preClose', async () => await limits.exportSlots[Symbol.asyncDispose]());
  routeExports(http, { ...deps, ...limits });
  routeQuarantineExport(http, { ...deps, ...limits });
  routeUserExport(http, { ...deps, ...limits });
}

function limitsOf(config: QueryApiConfig, quotas: KeyQuotas) {
  const { EXPORT_MAX_RUNNING: limit, EXPORT_MIN_BYTES_PER_SECOND: minBytesPerSecond } = config;
  return {
    exportSlots: createExportSlots({ limit, minBytesPerSecond }),
    exportsOf: clientSlots({
      maxPerClient: config.EXPORT_MAX_RUNNING_PER_CLIENT,
      ...{ code: 'client_exports', what: 'exports', setting: 'EXPORT_MAX_RUNNING_PER_CLIENT', retryAfterS: 10 },
      ofKey: { quotas, name: 'exports' },
    }),
    exportMaxRows: config.EXPORT_MAX_ROWS,
    exportMinBytesPerSecond: minBytesPerSecond,
  };
}
