/**
 * Calls again and again while the page is seen, and at once when it is seen again: what stood still meanwhile is old.
 * Returns how to stop.
 * @param {number} ms
 * @param {() => unknown} work
 */
export function every(ms, work) {
  const timer = setInterval(() => !document.hidden && work(), ms);
  const seen = () => !document.hidden && work();
  document.addEventListener('visibilitychange', seen);
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', seen);
  };
}
