/** A clock of the viewer of a page that differs from that of the server, and can be put. */

/**
 * For `addInitScript`: the clock is ahead by `byMs` until the page calls `putClock(ms)`. The steady clock goes on as it does, as
 * with a clock that is put by hand, or during sleep.
 */
export function viewerClock(byMs: number): string {
  return `{
    const Real = Date;
    let by = ${byMs};
    globalThis.putClock = ms => { by = ms; };
    globalThis.Date = class extends Real {
      constructor(...given) { if (given.length > 0) super(...given); else super(Real.now() + by); }
      static now() { return Real.now() + by; }
    };
  }`;
}
