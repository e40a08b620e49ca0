/** Counts of ads, top lists, series, and how final counts were changed. */
import type { Http } from '../../../infra/http.ts';
import { routeAggregatedCount } from './aggregated-count.ts';
import { routePopularAds } from './popular-ads.ts';
import { routeMostClicked } from './most-clicked.ts';
import { routeSeries } from './series.ts';
import { routeAllSeries } from './all-series.ts';
import { routeCountries } from './countries.ts';
import { routeAdSearch } from './ad-search.ts';
import { routeRestatements } from './restatements.ts';
import type { AdsDeps } from './ads-deps.ts';

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
