/**
 * The page: shows the view of the address in its zone, the state in the bar, what is wrong, and starts the stream of live events.
 * Where nobody is signed in who has to be, it shows the page for signing in instead, at the same address.
 */
import { hrefOf, readAddress, views } from './address.js';
import { msSince, serverTime, thisMoment, watchClock } from './clock.js';
import { byId, setText } from './dom.js';
import { duration, local, number, shownZone, showTimesIn } from './format.js';
import { isFresh, listen, startLive, stopLive, watchLive } from './live.js';
import { createAccount } from './parts/account.js';
import { createBanner } from './parts/banner.js';
import { comeBack, followSession, loadSession, may, needsSignIn } from './session.js';
import * as overview from './views/overview.js';
import { isZone, offsetText, ownZone } from './zone.js';

/** @import { Address, View } from './address.js' */

const titles = {
  overview: 'Overview',
  ad: 'Ads',
  operations: 'Operations',
  replay: 'Replay & reconcile',
  keys: 'Keys',
};
const loaders = {
  overview: async () => overview,
  ad: () => import('./views/ad.js'),
  operations: () => import('./views/operations.js'),
  replay: () => import('./views/replay.js'),
  keys: () => import('./views/keys.js'),
  'sign-in': () => import('./views/sign-in.js'),
};

/** @typedef {keyof typeof loaders} Place */

const main = byId('main');
const account = createAccount(byId('account'));
/** @typedef {{ place?: Place, zone?: string, update(address: Address): void, close(): void }} Shown */
/** @type {Shown} */
let shown = { update: () => undefined, close: () => undefined };

/** What is about the pipeline as a whole is not answered to a tenant. */
const wholeViews = ['operations', 'replay'];

/** Whose ads the page shows, if they are not all: live events say it. @type {string | null} */
let tenant = null;

/** @param {string | null} of */
function showTenant(of) {
  if (of === tenant) return;
  tenant = of;
  const element = byId('tenant');
  element.hidden = tenant === null;
  setText(element, tenant === null ? '' : `Ads of ${tenant}`);
  showLinks(readAddress());
}

/** Whether there is nothing in the view for who is signed in. @param {View | undefined} view */
function isClosed(view) {
  if (view === 'keys') return !may('admin');
  return tenant !== null && view !== undefined && wholeViews.includes(view);
}

/** @param {Address} address */
function showLinks(address) {
  /** @type {NodeListOf<HTMLAnchorElement>} */
  const links = document.querySelectorAll('a[data-view]');
  for (const link of links) {
    // The links of the bar keep range and filter. The name of the product leads to the overview without any.
    /** @type {Address} */
    const { range, from, to, country, filter } = link.matches('.brand') ? {} : address;
    const view = views.find(view => view === link.dataset.view);
    link.href = hrefOf({ view, range, from, to, country, filter });
    link.hidden = !link.matches('.brand') && (needsSignIn() || isClosed(view));
    if (link.dataset.view === address.view && !link.matches('.brand')) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

/** @param {View} view @returns {Place} */
const placeOf = view => (needsSignIn() ? 'sign-in' : view);

async function show() {
  const address = readAddress();
  showLinks(address);
  const place = placeOf(address.view);
  account.show();
  document.title =
    place === 'sign-in'
      ? 'Sign in · Ad clicks'
      : `${address.ad && address.view === 'ad' ? address.ad : titles[address.view]} · Ad clicks`;
  const zone = address.zone && isZone(address.zone) ? address.zone : ownZone;
  showTimesIn(zone);
  setText(byId('zone'), `Times in ${zone}, ${offsetText(serverTime(), zone)} now. Point at a time to see it in UTC.`);
  // All times of a view are written in one zone, so a new zone makes a new view.
  if (shown.place !== place || shown.zone !== zone) {
    const { mount } = await loaders[place]();
    // The address has changed while the view was being fetched, or who is signed in.
    if (placeOf(readAddress().view) !== place) return;
    const isFirst = shown.place === undefined;
    const isSameView = shown.place === place;
    shown.close();
    main.replaceChildren();
    shown = { place, zone: shownZone(), ...mount(main) };
    /** @type {HTMLSelectElement | null} */
    const picker = document.querySelector('select[name="zone"]');
    if (isSameView) picker?.focus({ preventScroll: true });
    else if (!isFirst && place !== 'sign-in') main.focus({ preventScroll: true });
  }
  shown.update(readAddress());
}

/** A link to another view changes the address and loads no new page. */
document.addEventListener('click', event => {
  const link = event.target instanceof Element ? event.target.closest('a[href]') : null;
  if (
    !(link instanceof HTMLAnchorElement) ||
    event.defaultPrevented ||
    event.button !== 0 ||
    event.metaKey ||
    event.ctrlKey ||
    event.shiftKey
  )
    return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.pathname !== '/' || url.hash !== '' || link.download) return;
  event.preventDefault();
  history.pushState(null, '', url.pathname + url.search);
  show();
  scrollTo(0, 0);
});
addEventListener('popstate', show);
addEventListener('address', show);
// What a view shows and offers depends on who looks at it.
addEventListener('session', () => {
  if (!isStarted) return;
  shown.close();
  shown = { update: () => undefined, close: () => undefined };
  main.replaceChildren();
  // The stream that runs is that of the key before.
  stopLive();
  follow();
  show();
});
// The ranges of what is shown went by a wrong time.
addEventListener('clock', () => {
  if (isStarted) show();
});

let isStarted = false;

function follow() {
  pulse.hidden = needsSignIn();
  if (needsSignIn()) stopLive();
  else startLive();
}

const pulse = byId('pulse');
const spoken = byId('spoken');
const banner = createBanner(byId('news'));
/** The stream has no words for its refusal, so it is asked why there is none. */
const askAgainMs = 5_000;
let askedAt = thisMoment();
const pulseText = pulse.querySelector('span') ?? pulse;
const words = {
  connecting: 'Connecting',
  live: 'Live',
  delayed: 'Delayed',
  silent: 'No news',
  away: 'Kafka does not answer',
  down: 'The store does not answer',
  lost: 'No connection',
};
/** @type {string | undefined} */
let spokenMinute;

listen((event, state) => {
  const isStalled = event !== undefined && event.stalled.length > 0;
  if (event || state !== pulse.dataset.state) {
    pulse.dataset.state = state === 'live' && isStalled ? 'stalled' : state;
    setText(pulseText, state === 'live' && isStalled ? 'Counting has stalled' : words[state]);
  }
  banner.show(event, state);
  if (state === 'lost' && msSince(askedAt) > askAgainMs) askWho();
  if (!event) return;
  showTenant(event.tenant);
  pulse.title = `As of ${local(event.at, 'seconds')}, watermark age ${duration(event.watermark_age_ms)}`;
  // Once a minute and not each second, so that a screen reader does not talk all the time.
  if (!isFresh(state)) return;
  const { start, ads } = event.last;
  const minute = event.minutes.find(point => point.start === start);
  if (minute && spokenMinute && spokenMinute !== start) {
    const first = ads[0] ? `; the ad with the most clicks is ${ads[0].ad_id}` : '';
    setText(spoken, `${local(start)}: ${number(minute.count)} clicks${first}`);
  }
  spokenMinute = start;
});

/** The answer tells the time of the server as well. */
function askWho() {
  askedAt = thisMoment();
  loadSession();
}

watchLive();
watchClock(askWho);
document.addEventListener('visibilitychange', () => !document.hidden && askWho());
followSession();
comeBack();
await loadSession();
isStarted = true;
follow();
show();
