/** What is looked at, in the query string: any view can be shared, and Back goes back. */

/** @import { Outcome } from './api-types.ts' */

/**
 * An address. The API refuses what it does not know of what stands there.
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

export const views = /** @type {const} */ (['overview', 'ad', 'operations', 'replay']);

/** @returns {Address & { readonly view: View }} */
export function readAddress() {
  const given = new URLSearchParams(location.search);
  /** @type {Address} */
  const address = Object.fromEntries(keys.map(key => [key, given.get(key) || undefined]));
  return { ...address, view: views.find(view => view === address.view) ?? 'overview' };
}

/** Whose clicks are asked for. @param {Address} address */
export function filterOf({ country, filter }) {
  return { country, filter };
}

/** Whether not all of them are: what comes live is of all. @param {Address} address */
export function isFiltered({ country, filter }) {
  return Boolean(country || filter);
}

/** The zone that was chosen stays, where the address does not name one. @param {Address} address */
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
 * Goes there; what is not named stays as it is. `{ replace: true }` leaves no step for Back.
 * @param {Address} changes
 */
export function go(changes, { replace = false } = {}) {
  const href = hrefOf({ ...readAddress(), ...changes });
  if (href === location.pathname + location.search) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', href);
  dispatchEvent(new Event('address'));
}

/**
 * Looks at other minutes, in whole ones, epoch ms.
 * @param {number} from
 * @param {number} to
 */
export function zoomTo(from, to) {
  go({ range: undefined, from: new Date(from).toISOString(), to: new Date(to).toISOString() });
}
