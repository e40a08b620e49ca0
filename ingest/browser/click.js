/**
 * Counts clicks on ads in the page that loads it. It sends each click once, also from a page that the click leaves, and it
 * never throws into the page. It sets no cookie, stores nothing, and sends nothing about who clicks.
 *
 *     <script src="https://clicks.example/click.js" data-key="adclicks_pub_…" async></script>
 *     <a href="https://shop.example/shoes" data-adclick="ad-42">…</a>
 *
 * This is the source. What is served is the same without comments and indentation (served-snippet.ts), and must be at
 * most 1 KB.
 */
(() => {
  // Loaded twice, it would count twice. (An element with this id would be there, too.)
  if (typeof window.adclick === 'function') return;
  try {
    const { src, dataset } = document.currentScript;
    const url = new URL(`b?k=${dataset.key}`, src);
    // A text goes as text/plain, which needs no preflight. A page that is being left has no time for one.
    const send = body => {
      const post = keepalive => fetch(url, { method: 'POST', body, keepalive, credentials: 'omit' });
      try {
        if (navigator.sendBeacon(url, body)) return;
      } catch {}
      // The browser has refused the beacon. The body is the same, and with it the event id, so all tries are one click.
      post(true)
        .catch(() => post(false))
        .catch(() => {});
    };
    window.adclick = adId => {
      try {
        // Pages without TLS have no randomUUID.
        const event_id = crypto.randomUUID?.() ?? crypto.getRandomValues(new Uint32Array(4)).join('-');
        send(JSON.stringify({ ad_id: `${adId}`, event_id, clicked_at: Date.now() }));
      } catch {}
    };
    const listen = event => {
      const ad = event.target.closest?.('[data-adclick]');
      // Buttons: the first, and the one that opens a link in another tab.
      if (ad && event.button < 2) window.adclick(ad.dataset.adclick);
    };
    addEventListener('click', listen, true);
    addEventListener('auxclick', listen, true);
  } catch (error) {
    console.warn(error);
  }
})();
