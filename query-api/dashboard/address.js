/** Keeps what the page shows in the query string of its address, so that any view can be shared and the Back button works. */

/** @import { Outcome } from './api-types.ts' */

/**
 * An address. Its values are not checked here: the API refuses those that it does not know.
 * @typedef {{ readonly [K in Exclude<(typeof keys)[number], 'view' | 'outcome'>]?: string | undefined }
 *   & { readonly view?: View | undefined, readonly outcome?: Outcome | undefined }} Address
 *
 * @typedef {(typeof views)[number]} View
 */

const keys = /** @type {const} */ ([
  'view',
  'ad',
  'range',
  'from',
  'to',
  'zone',
  'country',
  'filter',
  'event',
  'reason',
  'outcome',
  'job',
]);

export const views = /** @type {const} */ (['overview', 'ad', 'operations', 'replay', 'keys']);

/** @returns {Address & { readonly view: View }} */
export function readAddress() {
  const given = new URLSearchParams(location.search);
  /** @type {Address} */
  const address = Object.fromEntries(keys.map(key => [key, given.get(key) || undefined]));
  return { ...address, view: views.find(view => view === address.view) ?? 'overview' };
}

/** The query parameters that choose whose clicks are counted. @param {Address} address */
export function filterOf({ country, filter }) {
  return { country, filter };
}

/** Whether only some clicks are counted. Live events always count all of them. @param {Address} address */
export function isFiltered({ country, filter }) {
  return Boolean(country || filter);
}

/** The link to an address. An address that names no zone keeps the zone of the page. @param {Address} address */
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

/**
 * Changes some values of the address; the others stay as they are. `{ replace: true }` adds no step for the Back button.
 * @param {Address} changes
 */
export function go(changes, { replace = false } = {}) {
  const href = hrefOf({ ...readAddress(), ...changes });
  if (href === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', href);
  dispatchEvent(new Event('address'));
}

/**
 * Shows another range. Both ends are whole minutes in epoch ms.
 * @param {number} from
 * @param {number} to
 */
export function zoomTo(from, to) {
  go({ range: undefined, from: new Date(from).toISOString(), to: new Date(to).toISOString() });
}
