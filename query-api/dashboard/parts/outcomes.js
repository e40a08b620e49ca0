/** What has become of lines that were put into quarantine: counted since by a restatement, waiting for one, or in no count. */
import { go } from '../address.js';
import { h } from '../dom.js';
import { number } from '../format.js';

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

/** Reasons are words of the API: they are shown as words. */
export const reasonText = reason => reason.replaceAll('_', ' ');

export function outcomeMark(outcome) {
  const { text, mark, title } = outcomes[outcome];
  return h('span', { class: `tag ${mark}`, title }, text);
}

/** Sums over reasons, as the API tells them for all lines, whatever page is shown. */
export function sumsOf(reasons) {
  const sum = field => reasons.reduce((all, row) => all + row[field], 0);
  return { lines: sum('lines'), restated: sum('restated'), waiting: sum('waiting'), not_counted: sum('not_counted') };
}

/** Buttons that keep the choice in the address: `show(chosen, sums)`. */
export function createOutcomeChoice() {
  const element = h('div', { class: 'choices', role: 'group', 'aria-label': 'What has become of them', hidden: true });
  return {
    element,
    show(chosen, sums) {
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
        ...Object.entries(outcomes).map(([outcome, { text }]) => choice(outcome, text, sums[outcome])),
      );
      element.hidden = sums.lines === 0;
    },
  };
}

/** Under a list that does not show all; `more()`: where more may be shown. */
export function ofAll(shown, all, more) {
  if (shown >= all) return '';
  const text = `The newest ${number(shown)} of ${number(all)}, on the clipboard and in the file, too.`;
  const button = more && h('button', { type: 'button', class: 'link', onclick: more }, 'Show more');
  return h('p', { class: 'notice' }, text, ' ', button);
}
