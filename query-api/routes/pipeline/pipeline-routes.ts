/** Registers the routes about the state of the pipeline: status, partitions and quarantine. */
import type { Http } from '../../../infra/http.ts';
import { type PartitionRoutesDeps, routePartitions } from './partitions.ts';
import { type QuarantineRoutesDeps, routeQuarantine } from './quarantine.ts';
import { routeStatus, type StatusDeps } from './status.ts';

export function routePipeline(http: Http, deps: PartitionRoutesDeps & QuarantineRoutesDeps & StatusDeps): void {
  routeStatus(http, deps);
  routePartitions(http, deps);
  routeQuarantine(http, deps);
}
