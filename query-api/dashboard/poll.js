/**
 * Calls `work` again and again while the page is visible. When a hidden page becomes visible, it calls `work` at once, because
 * the numbers on the page are old by then. Returns a function that stops the calls.
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
