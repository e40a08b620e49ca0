/** How far counting is, what was not counted, and over how many partitions clicks are spread. */
import type { Http } from '../../../infra/http.ts';
import { type PartitionRoutesDeps, routePartitions } from './partitions.ts';
import { type QuarantineRoutesDeps, routeQuarantine } from './quarantine.ts';
import { routeStatus, type StatusDeps } from './status.ts';

export function routePipeline(http: Http, deps: PartitionRoutesDeps & QuarantineRoutesDeps & StatusDeps): void {
  routeStatus(http, deps);
  routePartitions(http, deps);
  routeQuarantine(http, deps);
}
