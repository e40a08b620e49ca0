/** What is looked at, in the query string: any view can be shared, and Back goes back. */

const keys = ['view', 'ad', 'range', 'from', 'to', 'zone', 'country', 'filter', 'event', 'reason', 'outcome', 'job'];

export const views = ['overview', 'ad', 'operations', 'replay'];

export function readAddress() {
  const given = new URLSearchParams(location.search);
  const address = Object.fromEntries(keys.map(key => [key, given.get(key) || undefined]));
  return { ...address, view: views.includes(address.view) ? address.view : 'overview' };
}

/** Whose clicks are asked for. */
export function filterOf({ country, filter }) {
  return { country, filter };
}

/** Whether not all of them are: what comes live is of all. */
export function isFiltered({ country, filter }) {
  return Boolean(country || filter);
}

/** The zone that was chosen stays, where the address does not name one. */
export function hrefOf(address) {
  const query = new URLSearchParams();
  const whole = 'zone' in address ? address : { ...address, zone: readAddress().zone };
  for (const key of keys) {
    const value = whole[key];
    if (value && !(key === 'view' && value === 'overview')) query.set(key, value);
  }
  const text = query.toString();
  return text === '' ? '/' : `/?${text}`;
}

/** Goes there; what is not named stays as it is. `{ replace: true }` leaves no step for Back. */
export function go(changes, { replace = false } = {}) {
  const href = hrefOf({ ...readAddress(), ...changes });
  if (href === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', href);
  dispatchEvent(new Event('address'));
}

/** Looks at other minutes, in whole ones, epoch ms. */
export function zoomTo(from, to) {
  go({ range: undefined, from: new Date(from).toISOString(), to: new Date(to).toISOString() });
}
