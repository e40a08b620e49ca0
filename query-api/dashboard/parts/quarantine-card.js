/** The lines of all ads in quarantine, by reason and by outcome, with links to all of them as a file. */
import { go } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { number, timeElement } from '../format.js';
import { may } from '../session.js';
import { createCard } from './card.js';
import { lacking } from './lacking.js';
import { createOutcomeChoice, ofAll, outcomeMark, reasonText, sumsOf } from './outcomes.js';
import { tableOf } from './table.js';

/** @import { Address } from '../address.js' */
/** @import { QuarantineAnswer } from '../api-types.ts' */
/** @import { Column } from './table.js' */

const shownLines = 25;

export function createQuarantine() {
  /** @type {Address} */
  let address = {};
  const reasonChoice = createReasonChoice();
  const outcomeChoice = createOutcomeChoice();
  const exports = (may('read:personal') ? ['NDJSON', 'CSV'] : []).map(format =>
    h('a', { 'data-export': format, download: true, href: exportHref(format, address) }, `Export ${format}`),
  );
  const card = createCard({
    title: 'Quarantine',
    note: 'lines that were not counted when they arrived, newest first',
    isFlush: true,
    actions: [reasonChoice.element, outcomeChoice.element, ...exports],
    takes: 'quarantine',
    empty: () =>
      address.reason || address.outcome
        ? 'No line in quarantine has this reason and outcome.'
        : 'No line is in quarantine.',
    async load(signal) {
      const lacks = lacking('read:personal', 'Lines in quarantine may be about persons, and need');
      if (lacks) return lacks;
      const { reason, outcome } = address;
      const { reasons, lines } = await get('/v1/quarantine', { reason, outcome, limit: shownLines }, signal);
      reasonChoice.show(reason, reasons);
      const sums = sumsOf(reasons.filter(row => !reason || row.reason === reason));
      outcomeChoice.show(outcome, sums);
      if (lines.length === 0) return undefined;
      return [
        tableOf('Lines in quarantine', columns, lines),
        ofAll(lines.length, outcome ? sums[outcome] : sums.lines),
      ];
    },
  });
  return {
    element: card.element,
    refresh: card.refresh,
    /** @param {Address} next */
    show(next) {
      address = next;
      for (const link of exports) link.href = exportHref(link.dataset.export ?? '', address);
      card.renew();
    },
    close: card.close,
  };
}

/** Buttons that choose a reason. The choice is kept in the address. */
function createReasonChoice() {
  const element = h('div', { class: 'choices', role: 'group', 'aria-label': 'Reason', hidden: true });
  return {
    element,
    /** @param {string | undefined} chosen @param {QuarantineAnswer['reasons']} reasons */
    show(chosen, reasons) {
      /** @param {string | undefined} name @param {number} count */
      const choice = (name, count) =>
        h(
          'button',
          {
            type: 'button',
            'data-reason': name ?? 'all',
            'aria-pressed': String(name === chosen),
            onclick: () => go({ reason: name }),
          },
          `${reasonText(name ?? 'all')} ${number(count)}`,
        );
      const all = sumsOf(reasons).lines;
      element.replaceChildren(choice(undefined, all), ...reasons.map(row => choice(row.reason, row.lines)));
      element.hidden = all === 0;
    },
  };
}

/** The file holds all lines that fit the address, not only the lines on the page. @param {string} format @param {Address} address */
function exportHref(format, { reason, outcome }) {
  const query = new URLSearchParams({
    format: format.toLowerCase(),
    ...(reason && { reason }),
    ...(outcome && { outcome }),
  });
  return `/v1/quarantine/export?${query}`;
}

/** @type {Column<QuarantineAnswer['lines'][number]>[]} */
const columns = [
  { head: 'Arrived at', value: row => row.appended_at, cell: row => timeElement(row.appended_at) },
  { head: 'Reason', value: row => row.reason, cell: row => reasonText(row.reason) },
  { head: 'Outcome', value: row => row.outcome, cell: row => outcomeMark(row.outcome) },
  { head: 'Detail', isWide: true, value: row => row.detail },
  {
    head: 'Partition/offset/line',
    value: row => placeOf(row),
    cell: row => h('code', {}, placeOf(row)),
  },
  { head: 'Line', isWide: true, value: row => row.raw, cell: row => h('code', { class: 'raw' }, row.raw) },
];

/** Where a line stands in the log, as `adclicks quarantine` prints it. @param {QuarantineAnswer['lines'][number]} line */
function placeOf({ partition, offset, line }) {
  return `${partition}/${offset}/${line}`;
}
