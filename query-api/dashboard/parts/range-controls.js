/** The controls above the overview and the view of ads: range, time zone, country and stored filter. */
import { createCountryFilter } from './country-filter.js';
import { createRangeBar } from './range-bar.js';
import { createStoredFilter } from './stored-filter.js';
import { createZonePicker } from './zone-picker.js';

/** @import { Address } from '../address.js' */

export function createRangeControls() {
  const country = createCountryFilter();
  const storedFilter = createStoredFilter();
  const zonePicker = createZonePicker();
  const rangeBar = createRangeBar();
  return {
    elements: [country.element, storedFilter.element, zonePicker.element, rangeBar.element, rangeBar.form],
    offerCountries: country.offer,
    /** @param {Address} address */
    show(address) {
      for (const control of [country, storedFilter, zonePicker, rangeBar]) control.show(address);
    },
  };
}
