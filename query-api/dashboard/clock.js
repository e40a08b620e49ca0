/**
 * The time of the server, whose minutes are shown. The clock of a viewer may be wrong by hours, and somebody may put it while
 * the page is open. So each answer of the query API corrects it, and the first one has arrived before anything is shown.
 */

/** What is to be added to the clock of the viewer. */
let skewMs = 0;

export const serverTime = () => Date.now() + skewMs;

/**
 * Takes over what is known of the time of the server at this moment, in epoch ms: it is not before `earliest`, and not after
 * `latest`. The event `clock` tells that the page went by a wrong time, so that its ranges were wrong: at first, and after the
 * clock of the viewer was put or the computer slept. Clocks of several servers that differ are no reason for it: their answers
 * take turns.
 * @param {number} earliest
 * @param {number} [latest]
 */
export function hearTime(earliest, latest = Number.POSITIVE_INFINITY) {
  const before = serverTime();
  const now = Math.min(Math.max(before, earliest), latest);
  if (!Number.isFinite(now)) return;
  const wasPut = clocks === undefined || Math.abs(movedSince(clocks)) > putMs;
  clocks = bothClocks();
  skewMs += now - before;
  if (wasPut && Math.abs(now - before) > toldMs) dispatchEvent(new Event('clock'));
}

/** A smaller correction moves no range by more than a refresh does. */
const toldMs = 10_000;
const putMs = 2_000;

/** As they were when the time of the server was heard last. @type {ReturnType<typeof bothClocks> | undefined} */
let clocks;
const bothClocks = () => ({ steady: performance.now(), viewer: Date.now() });

/** By how much the clock of the viewer was put against the steady one. @param {ReturnType<typeof bothClocks>} before */
function movedSince({ steady, viewer }) {
  return Date.now() - viewer - (performance.now() - steady);
}

/**
 * A moment, from which time is measured. While a computer sleeps, the steady clock of some browsers stands still, and the
 * clock of the viewer may be put back: so both are kept, and the longer time counts.
 * @typedef {{ readonly steady: number, readonly server: number }} Moment
 */

/** @returns {Moment} */
export const thisMoment = () => ({ steady: performance.now(), server: serverTime() });

/** @param {Moment} moment */
export const msSince = ({ steady, server }) => Math.max(performance.now() - steady, serverTime() - server);

/**
 * Calls `listener` after the clock of the viewer was put, and after the page stood still, for example because the computer
 * slept. Which of the two it was cannot be told, so the server has to be asked for its time. Must be called once.
 * @param {() => unknown} listener
 */
export function watchClock(listener) {
  let last = bothClocks();
  setInterval(() => {
    const before = last;
    last = bothClocks();
    if (Math.abs(movedSince(before)) > putMs || last.steady - before.steady > stoodMs) listener();
  }, 1_000);
}

const stoodMs = 10_000;
