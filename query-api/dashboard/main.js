/** The page: which view is shown in which zone, the mark of the bar, what is wrong, and the one stream of live events. */
import { hrefOf, readAddress } from './address.js';
import { setText } from './dom.js';
import { duration, local, number, shownZone, showTimesIn } from './format.js';
import { listen, startLive } from './live.js';
import { createBanner } from './parts/banner.js';
import * as overview from './views/overview.js';
import { isZone, offsetText, ownZone } from './zone.js';

const titles = { overview: 'Overview', ad: 'Ads', operations: 'Operations', replay: 'Replay & reconcile' };
const loaders = {
  overview: async () => overview,
  ad: () => import('./views/ad.js'),
  operations: () => import('./views/operations.js'),
  replay: () => import('./views/replay.js'),
};

const main = document.getElementById('main');
let shown = { view: undefined, zone: undefined, update: () => undefined, close: () => undefined };

async function show() {
  const address = readAddress();
  for (const link of document.querySelectorAll('[data-view]')) {
    // What is looked at is looked at on the next page, too; the name of the product leads back to the beginning.
    const { range, from, to, country, filter } = link.matches('.brand') ? {} : address;
    link.href = hrefOf({ view: link.dataset.view, range, from, to, country, filter });
    if (link.dataset.view === address.view && !link.matches('.brand')) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${address.ad && address.view === 'ad' ? address.ad : titles[address.view]} · Ad clicks`;
  const zone = address.zone && isZone(address.zone) ? address.zone : ownZone;
  showTimesIn(zone);
  setText(document.getElementById('zone'), `Times in ${zone}, ${offsetText(Date.now(), zone)} now; UTC on hover`);
  // All times of a page are those of one zone, so another one makes it anew.
  if (shown.view !== address.view || shown.zone !== zone) {
    const { mount } = await loaders[address.view]();
    // Another address while the view was fetched.
    if (readAddress().view !== address.view) return;
    const isFirst = shown.view === undefined;
    const isSameView = shown.view === address.view;
    shown.close();
    main.replaceChildren();
    shown = { view: address.view, zone: shownZone(), ...mount(main) };
    if (isSameView) document.querySelector('select[name="zone"]')?.focus({ preventScroll: true });
    else if (!isFirst) main.focus({ preventScroll: true });
  }
  shown.update(readAddress());
}

/** Links within the page change the address only. */
document.addEventListener('click', event => {
  const link = event.target.closest('a[href]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.pathname !== '/' || url.hash !== '' || link.download) return;
  event.preventDefault();
  history.pushState(null, '', url.pathname + url.search);
  show();
  scrollTo(0, 0);
});
addEventListener('popstate', show);
addEventListener('address', show);

const pulse = document.getElementById('pulse');
const spoken = document.getElementById('spoken');
const banner = createBanner(document.getElementById('news'));
const words = {
  connecting: 'Connecting',
  live: 'Live',
  silent: 'Nothing new',
  away: 'Kafka does not answer',
  down: 'The store does not answer',
  lost: 'No connection',
};
let spokenMinute;

listen((event, state) => {
  const isStalled = event?.stalled.length > 0;
  if (event || state !== pulse.dataset.state) {
    pulse.dataset.state = state === 'live' && isStalled ? 'stalled' : state;
    setText(pulse.querySelector('span'), state === 'live' && isStalled ? 'Counting has stalled' : words[state]);
  }
  banner.show(event, state);
  if (!event) return;
  pulse.title = `As of ${local(event.at, 'seconds')}, watermark ${duration(event.watermark_age_ms)} behind`;
  // Once a minute, and not each second: a screen reader should not be kept talking.
  const { start, ads } = event.last;
  const minute = event.minutes.find(point => point.start === start);
  if (minute && spokenMinute && spokenMinute !== start) {
    const first = ads[0] ? `, most of them of ${ads[0].ad_id}` : '';
    setText(spoken, `${local(start)}: ${number(minute.count)} clicks${first}`);
  }
  spokenMinute = start;
});

startLive();
show();
