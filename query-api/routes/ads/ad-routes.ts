/** Registers the routes of counts, top lists, series, and changes of final counts. */
import type { Http } from '../../../infra/http.ts';
import { routeAdSearch } from './ad-search.ts';
import type { AdsDeps } from './ads-deps.ts';
import { routeAggregatedCount } from './aggregated-count.ts';
import { routeAllSeries } from './all-series.ts';
import { routeCountries } from './countries.ts';
import { routeMostClicked } from './most-clicked.ts';
import { routePopularAds } from './popular-ads.ts';
import { routeRestatements } from './restatements.ts';
import { routeSeries } from './series.ts';

export function routeAds(http: Http, deps: AdsDeps): void {
  routeAggregatedCount(http, deps);
  routePopularAds(http, deps);
  routeMostClicked(http, deps);
  routeSeries(http, deps);
  routeAllSeries(http, deps);
  routeCountries(http, deps);
  routeAdSearch(http, deps);
  routeRestatements(http, deps);
}
