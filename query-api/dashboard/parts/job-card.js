/** One replay or restatement: its progress, what differs, and a button to apply it. */

import { go } from '../address.js';
import { get, messageOf, post, remove } from '../api.js';
import { h } from '../dom.js';
import { number, timeElement } from '../format.js';
import { every } from '../poll.js';
import { may } from '../session.js';
import { requestToApply } from './applied-replay.js';
import { createCard } from './card.js';
import { diffText } from './diff-text.js';
import { lacking } from './lacking.js';
import { changeColumn, tableOf } from './table.js';

/** @import { Replay } from '../api-types.ts' */
/** @import { Card } from './card.js' */
/** @import { Column } from './table.js' */

/** @param {{ onChange(): void }} options */
export function createJobCard({ onChange }) {
  /** @type {string | undefined} */
  let id;
  // The card keeps asking after a failed request too, because the job goes on.
  let isWatched = false;
  /** @type {Card} */
  const card = createCard({
    title: 'Recount',
    isFlush: true,
    takes: 'recount',
    async load(signal) {
      const job = await get(`/v1/replays/${id}`, { limit: 200 }, signal);
      const isOpen = job.state === 'queued' || job.state === 'running';
      if (isWatched && !isOpen) onChange();
      isWatched = isOpen;
      card.note(`${job.id}, ${job.apply ? 'applied' : 'dry run'}`);
      return [progressOf(job, isOpen), isOpen ? '' : outcomeOf(job)];
    },
  });
  card.element.hidden = true;
  const stop = every(700, () => isWatched && card.refresh());

  return {
    element: card.element,
    /** @param {string | undefined} next */
    show(next) {
      const isSame = next === id;
      id = next;
      card.element.hidden = next === undefined;
      if (isSame && next !== undefined) return;
      isWatched = false;
      if (next !== undefined) card.renew();
    },
    close() {
      stop();
      card.close();
    },
  };
}

/** @param {Replay} job @param {boolean} isOpen */
function progressOf(job, isOpen) {
  const { minutes_done: done, minutes_total: total } = job;
  const text = `${job.state}: ${number(done)} of ${number(total)} minutes, ${number(job.clicks_read)} raw clicks read`;
  return h(
    'div',
    // A job that has ended does not change any more.
    { class: 'notice', 'data-lasting': isOpen ? null : '' },
    h('span', {}, timeElement(job.from), ' to ', timeElement(job.to)),
    h('span', { role: 'status', 'data-job-state': job.state }, text),
    // The API does not cancel restatements.
    isOpen &&
      job.kind === 'replay' &&
      may('operate') &&
      h('button', { type: 'button', onclick: event => cancel(job, event.currentTarget) }, 'Cancel'),
    isOpen && h('progress', { max: Math.max(1, total), value: done, 'aria-label': 'Minutes recounted' }),
  );
}

/** @param {Replay} job @param {HTMLButtonElement} button */
async function cancel(job, button) {
  button.disabled = true;
  try {
    await remove(`/v1/replays/${job.id}`);
  } catch (error) {
    button.replaceWith(h('span', { class: 'bad-text', role: 'alert' }, messageOf(error)));
  }
}

/** @param {Replay} job */
function outcomeOf(job) {
  if (job.state === 'failed') return h('p', { class: 'notice bad', role: 'alert' }, job.error ?? 'The recount failed.');
  if (job.state === 'cancelled') return h('p', { class: 'notice' }, 'The recount was cancelled before its end.');
  const { cells, rows, next_cursor } = job.diff;
  if (cells === 0) return h('p', { class: 'notice' }, 'Nothing differs: the counts agree with the raw clicks.');
  const sum = diffText(job);
  const request = requestToApply(job);
  return h(
    'div',
    {},
    h(
      'div',
      { class: 'notice' },
      h('b', {}, sum),
      job.apply && h('span', { class: 'tag warn' }, 'applied'),
      request &&
        may('operate') &&
        h('button', { type: 'button', class: 'main', onclick: () => confirmApply(request, sum) }, 'Apply…'),
    ),
    request && lacking('operate', 'Applying this needs'),
    tableOf('What differs', diffColumns, rows),
    next_cursor !== null &&
      h(
        'p',
        { class: 'notice' },
        `These are the first ${number(rows.length)}. GET /v1/replays/${job.id} gives all of them.`,
      ),
  );
}

/** @type {Column<Replay['diff']['rows'][number]>[]} */
const diffColumns = [
  { head: 'Minute', value: row => row.minute, cell: row => timeElement(row.minute) },
  { head: 'Ad', value: row => row.ad_id, cell: row => h('span', { class: 'mono' }, row.ad_id) },
  { head: 'Country', value: row => row.country },
  { head: 'Before', isNumber: true, value: row => row.before },
  { head: 'After', isNumber: true, value: row => row.after },
  changeColumn,
  { head: 'Net before', isNumber: true, value: row => row.before - row.invalid_before },
  { head: 'Net after', isNumber: true, value: row => row.after - row.invalid_after },
];

/**
 * Asks for a confirmation, because the change affects what advertisers pay.
 * @param {NonNullable<ReturnType<typeof requestToApply>>} request
 * @param {string} sum
 */
function confirmApply(request, sum) {
  const failed = h('div', {});
  /** @type {HTMLDialogElement} */
  const dialog = h(
    'dialog',
    { 'aria-labelledby': 'confirm-title', onclose: () => dialog.remove() },
    h('h2', { id: 'confirm-title' }, 'Restate final counts?'),
    h('p', {}, `${sum}. `, timeElement(request.from), ' to ', timeElement(request.to), '.'),
    h(
      'p',
      { class: 'muted' },
      'The minutes are recounted once more. Each count that differs is changed, and each change is recorded with its job and reason.',
    ),
    failed,
    h(
      'div',
      { class: 'line' },
      h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, 'Keep as they are'),
      h('button', { type: 'button', class: 'danger', onclick: apply }, 'Restate'),
    ),
  );
  async function apply() {
    try {
      const started = await post('/v1/replays', request);
      dialog.close();
      go({ job: started.id });
    } catch (error) {
      failed.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, messageOf(error)));
    }
  }
  document.body.append(dialog);
  dialog.showModal();
}
