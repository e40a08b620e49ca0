/** The click trail: what became of each copy of a click, found by its event id. */

import { go, hrefOf } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { timeElement } from '../format.js';
import { may } from '../session.js';
import { createCard } from './card.js';
import { lacking } from './lacking.js';
import { ruleText } from './net-and-gross.js';
import { reasonText } from './outcomes.js';
import { stateMark } from './state-mark.js';
import { tableOf } from './table.js';

/** @import { Answer } from '../api-types.ts' */
/** @import { Card } from './card.js' */
/** @import { Column } from './table.js' */

const kinds = { counted: 'good', restated: 'warn', duplicate: '', quarantined: 'bad' };

export function createClickTrail() {
  /** @type {string | undefined} */
  let eventId;
  let isAsked = false;
  const input = h('input', {
    name: 'event',
    placeholder: 'event_id',
    'aria-label': 'event_id of a click',
    maxlength: '128',
    required: true,
    spellcheck: 'false',
    autocomplete: 'off',
  });
  const form = h(
    'form',
    {
      class: 'line',
      onsubmit(event) {
        event.preventDefault();
        if (input.value.trim() === eventId) card.renew();
        else go({ event: input.value.trim() });
      },
    },
    input,
    h('button', {}, 'Look up'),
  );
  /** @type {Card} */
  const card = createCard({
    title: 'Where did my click go?',
    note: 'each copy of a click, found by its event_id',
    actions: may('read:personal') ? [form] : [],
    isFlush: true,
    takes: 'click-trail',
    async load(signal) {
      const lacks = lacking('read:personal', 'What became of a click is about a person, and needs');
      if (lacks) return lacks;
      if (!eventId)
        return h('p', { class: 'notice', 'data-lasting': '' }, 'Enter the event_id with which the click was posted.');
      const { ads, copies, is_complete } = await get(`/v1/clicks/${encodeURIComponent(eventId)}`, {}, signal);
      return [notesOf(ads.length, is_complete), tableOf('Copies of the click', columns, copies)];
    },
  });
  card.element.id = 'trail';
  // The grid above is hidden until an ad is chosen, so this card has a grid of its own.
  const element = h('div', { class: 'grid trail' }, card.element);
  return {
    element,
    /** @param {string | undefined} next */
    show(next) {
      if (isAsked && next === eventId) return;
      isAsked = true;
      eventId = next;
      input.value = next ?? '';
      card.renew();
    },
  };
}

/** @param {number} ads @param {boolean} isComplete */
function notesOf(ads, isComplete) {
  const notes = [
    ...(ads > 1 ? [`${ads} ads have a click with this event_id. They are different clicks.`] : []),
    ...(isComplete ? [] : ['There are more copies with this event_id than are shown here.']),
  ];
  return notes.length === 0 ? '' : h('p', { class: 'notice' }, notes.join(' '));
}

/** @typedef {Answer<'GET', `/v1/clicks/${string}`>['copies'][number]} Copy */

/** Whether it is in the net count, or by which rule it is not. @param {Copy} copy */
function billedText({ validity, invalid_reason }) {
  if (validity === 'invalid') return `no, ${ruleText(invalid_reason ?? '')}`;
  return validity === null ? '' : { valid: 'yes', unknown: 'not known' }[validity];
}

/** @param {Copy} copy */
function billedAttributes({ validity, rules }) {
  if (validity === null) return {};
  const title = rules
    ? `By version ${rules} of the rules of invalid clicks`
    : 'No rules of invalid clicks were applied';
  return { class: `tag ${{ valid: 'good', invalid: 'bad', unknown: '' }[validity]}`, title };
}

/** @type {Column<Copy>[]} */
const columns = [
  {
    head: 'Outcome',
    value: copy => copy.outcome,
    cell: copy => h('span', { class: `tag ${kinds[copy.outcome]}` }, copy.outcome),
  },
  { head: 'Reason', value: copy => copy.reason, cell: copy => reasonText(copy.reason ?? '') },
  { head: 'Billed', value: billedText, cell: copy => h('span', billedAttributes(copy), billedText(copy)) },
  {
    head: 'Ad',
    value: copy => copy.ad_id,
    cell: copy => h('a', { class: 'mono', href: hrefOf({ view: 'ad', ad: copy.ad_id }) }, copy.ad_id),
  },
  { head: 'Country', value: copy => copy.country },
  { head: 'Clicked at', value: copy => copy.clicked_at, cell: copy => timeElement(copy.clicked_at, 'seconds') },
  { head: 'Received at', value: copy => copy.received_at, cell: copy => timeElement(copy.received_at, 'seconds') },
  {
    head: 'Minute',
    value: copy => copy.minute,
    cell: copy => [timeElement(copy.minute), ' ', stateMark(copy.state)],
  },
  { head: 'Partition', isNumber: true, value: copy => copy.partition },
  {
    head: 'Job',
    value: copy => copy.job,
    cell: copy =>
      copy.job ? h('a', { href: hrefOf({ view: 'replay', job: copy.job }) }, `…${copy.job.slice(-6)}`) : '',
  },
  { head: 'click_id', value: copy => copy.click_id, cell: copy => h('code', {}, copy.click_id) },
];
