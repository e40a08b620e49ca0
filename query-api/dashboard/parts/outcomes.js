/** What has become of lines that were put into quarantine: counted since by a restatement, waiting for one, or in no count. */
import { go } from '../address.js';
import { h } from '../dom.js';
import { number } from '../format.js';

/** @import { Outcome, QuarantineAnswer } from '../api-types.ts' */

/** @typedef {ReturnType<typeof sumsOf>} Sums */

export const outcomes = {
  restated: {
    text: 'counted since',
    mark: 'good',
    title: 'It came too late, and a restatement has counted it since, or found that it is a duplicate.',
  },
  waiting: {
    text: 'waiting',
    mark: 'warn',
    title: 'It came too late, and waits for the restatement that will count it.',
  },
  not_counted: {
    text: 'not counted',
    mark: 'bad',
    title: 'It is in no count, and will be in none unless it is mended and posted again.',
  },
};

/** Reasons are words of the API: they are shown as words. @param {string} reason */
export const reasonText = reason => reason.replaceAll('_', ' ');

/** @param {Outcome} outcome */
export function outcomeMark(outcome) {
  const { text, mark, title } = outcomes[outcome];
  return h('span', { class: `tag ${mark}`, title }, text);
}

/**
 * Sums over reasons, as the API tells them for all lines, whatever page is shown.
 * @param {QuarantineAnswer['reasons']} reasons
 */
export function sumsOf(reasons) {
  /** @param {'lines' | Outcome} field */
  const sum = field => reasons.reduce((all, row) => all + row[field], 0);
  return { lines: sum('lines'), restated: sum('restated'), waiting: sum('waiting'), not_counted: sum('not_counted') };
}

/** Buttons that keep the choice in the address: `show(chosen, sums)`. */
export function createOutcomeChoice() {
  const element = h('div', { class: 'choices', role: 'group', 'aria-label': 'What has become of them', hidden: true });
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
 * Under a list that does not show all; `more()`: where more may be shown.
 * @param {number} shown
 * @param {number} all
 * @param {(() => void) | false} [more]
 */
export function ofAll(shown, all, more) {
  if (shown >= all) return '';
  const text = `The newest ${number(shown)} of ${number(all)}, on the clipboard and in the file, too.`;
  const button = more && h('button', { type: 'button', class: 'link', onclick: more }, 'Show more');
  return h('p', { class: 'notice' }, text, ' ', button);
}
