/** Adds all routes under /v1/, with what holds for each of their answers. */
import { type Http, refuseOtherMethods } from '../../infra/http.ts';
import { serializeLongSeries } from '../answers/long-series.ts';
import { tagAnswers } from '../http/etag.ts';
import { failOver } from '../http/failover.ts';
import { keepPrivate } from '../http/private-answers.ts';
import type { RawSeconds } from '../http/raw-seconds.ts';
import { answerRows } from '../http/rows-hook.ts';
import { asUnavailable } from '../http/unavailable.ts';
import type { Replicas } from '../replicas/replicas.ts';
import { routeAds } from './ads/ad-routes.ts';
import { routeAudit } from './audit/audit.ts';
import { routeClickAudit } from './clicks/click-audit.ts';
import { routeAllExports } from './exports/export-routes.ts';
import { routeFilters } from './filters/filters.ts';
import { routeJobs } from './jobs/job-routes.ts';
import { type KeyRoutesDeps, routeKeys } from './keys/keys.ts';
import { routeLive } from './live/live.ts';
import { routePipeline } from './pipeline/pipeline-routes.ts';
import { type RulesRoutesDeps, routeRules } from './rules/rules.ts';
import { type OidcSignInDeps, routeOidcSignIn } from './session/oidc-sign-in.ts';
import { routeSession, type SessionRoutesDeps } from './session/session.ts';
import { type ErasureRoutesDeps, routeErasures } from './users/erasures.ts';

/** Their answers are data, so the policy lets them load, run and embed nothing. */
export function routeVersion1(http: Http, deps: Version1Deps): void {
  http.setErrorHandler(error => {
    throw asUnavailable(error);
  });
  http.addHook('onSend', async (_request, reply) => {
    reply.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
  });
  http.addHook('onRequest', async request => deps.rawSeconds.admit(request));
  keepPrivate(http);
  tagAnswers(http);
  answerRows(http);
  // Behind it: what was asked for as CSV is a text already.
  serializeLongSeries(http);
  failOver(http, deps.replicas);
  const paths = new Map<string, string[]>();
  http.addHook('onRoute', ({ url, method }) => {
    paths.set(url, [...(paths.get(url) ?? []), ...[method].flat()]);
  });
  routeAds(http, deps);
  routeFilters(http, deps);
  routePipeline(http, deps);
  routeRules(http, deps);
  routeJobs(http, deps);
  routeClickAudit(http, deps);
  routeAllExports(http, deps);
  routeLive(http, deps);
  routeKeys(http, deps);
  routeAudit(http, deps);
  routeErasures(http, deps);
  routeSession(http, deps);
  routeOidcSignIn(http, deps);
  for (const [url, allowed] of [...paths]) refuseOtherMethods(http, url, allowed);
}

type Version1Deps = Parameters<typeof routeAds>[1] &
  Parameters<typeof routeFilters>[1] &
  Parameters<typeof routePipeline>[1] &
  Parameters<typeof routeJobs>[1] &
  Parameters<typeof routeClickAudit>[1] &
  Parameters<typeof routeAllExports>[1] &
  Parameters<typeof routeLive>[1] &
  Parameters<typeof routeAudit>[1] &
  ErasureRoutesDeps &
  RulesRoutesDeps &
  KeyRoutesDeps &
  SessionRoutesDeps &
  OidcSignInDeps & { readonly replicas: Replicas; readonly rawSeconds: RawSeconds };
