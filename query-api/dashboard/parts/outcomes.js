/** The outcomes of lines in quarantine: counted since by a restatement, waiting for a restatement, or not counted. */
import { go } from '../address.js';
import { h } from '../dom.js';
import { number } from '../format.js';

/** @import { Outcome, QuarantineAnswer } from '../api-types.ts' */

/** @typedef {ReturnType<typeof sumsOf>} Sums */

export const outcomes = {
  restated: {
    text: 'counted since',
    mark: 'good',
    title: 'This line arrived too late. A restatement has counted it since, or has found that it is a duplicate.',
  },
  waiting: {
    text: 'waiting',
    mark: 'warn',
    title: 'This line arrived too late. It waits for the restatement that will count it.',
  },
  not_counted: {
    text: 'not counted',
    mark: 'bad',
    title: 'This line is not counted. It will only be counted if somebody corrects it and posts it again.',
  },
};

/** A reason of the API, written as words. @param {string} reason */
export const reasonText = reason => reason.replaceAll('_', ' ');

/** @param {Outcome} outcome */
export function outcomeMark(outcome) {
  const { text, mark, title } = outcomes[outcome];
  return h('span', { class: `tag ${mark}`, title }, text);
}

/**
 * The sums over all reasons. They count all lines, also those that are not on the current page.
 * @param {QuarantineAnswer['reasons']} reasons
 */
export function sumsOf(reasons) {
  /** @param {'lines' | Outcome} field */
  const sum = field => reasons.reduce((all, row) => all + row[field], 0);
  return { lines: sum('lines'), restated: sum('restated'), waiting: sum('waiting'), not_counted: sum('not_counted') };
}

/** Buttons that choose an outcome. The choice is kept in the address. */
export function createOutcomeChoice() {
  const element = h('div', { class: 'choices', role: 'group', 'aria-label': 'Outcome', hidden: true });
  return {
    element,
    /** @param {Outcome | undefined} chosen @param {Sums} sums */
    show(chosen, sums) {
      /** @param {Outcome | undefined} outcome @param {string} text @param {number} count */
      const choice = (outcome, text, count) =>
        h(
          'button',
          {
            type: 'button',
            'data-outcome': outcome ?? 'all',
            'aria-pressed': String(outcome === chosen),
            onclick: () => go({ outcome }),
          },
          `${text} ${number(count)}`,
        );
      element.replaceChildren(
        choice(undefined, 'all', sums.lines),
        ...known.map(outcome => choice(outcome, outcomes[outcome].text, sums[outcome])),
      );
      element.hidden = sums.lines === 0;
    },
  };
}

const known = /** @type {Outcome[]} */ (Object.keys(outcomes));

/**
 * The line under a list that does not show all rows. `more()` shows more of them, if that is possible.
 * @param {number} shown
 * @param {number} all
 * @param {(() => void) | false} [more]
 */
export function ofAll(shown, all, more) {
  if (shown >= all) return '';
  const text = `These are the newest ${number(shown)} of ${number(all)}. Copy and CSV contain the same ${number(shown)}.`;
  const button = more && h('button', { type: 'button', class: 'link', onclick: more }, 'Show more');
  return h('p', { class: 'notice' }, text, ' ', button);
}
