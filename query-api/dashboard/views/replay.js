/** Replay and reconcile: starts a recount, shows its progress and what differs, and applies it. */

import { go, hrefOf } from '../address.js';
import { get, messageOf, post } from '../api.js';
import { serverTime } from '../clock.js';
import { h } from '../dom.js';
import { counted, number, signed, timeElement } from '../format.js';
import { createCard } from '../parts/card.js';
import { createJobCard } from '../parts/job-card.js';
import { lacking } from '../parts/lacking.js';
import { createMomentField } from '../parts/moment-field.js';
import { tableOf } from '../parts/table.js';
import { createZonePicker } from '../parts/zone-picker.js';
import { every } from '../poll.js';
import { queryOf } from '../range.js';

/** @import { Address } from '../address.js' */
/** @import { Answer } from '../api-types.ts' */
/** @import { Card } from '../parts/card.js' */
/** @import { Column } from '../parts/table.js' */

/**
 * @typedef {Answer<'GET', '/v1/replays'>['replays'][number]} ListedReplay
 * @typedef {Answer<'GET', '/v1/reconciliations'>['reconciliations'][number]} ListedReconciliation
 */

/** @param {HTMLElement} root */
export function mount(root) {
  /** @type {Address} */
  let address = {};
  const zonePicker = createZonePicker();
  const replays = createJobsCard({
    title: 'Replays and restatements',
    note: 'recounts of final minutes from raw clicks, running jobs first',
    empty: 'There has been none yet. A click that arrives too late starts a restatement by itself.',
    takes: 'replays',
    async ask(query, signal) {
      const { replays, next_cursor } = await get('/v1/replays', query, signal);
      return { jobs: replays, next_cursor };
    },
    tableOf: jobs => tableOf('Replays', replayColumns(address), jobs),
  });
  const reconciliations = createJobsCard({
    title: 'Reconciliations',
    note: 'compare final counts with raw clicks, by itself once for each hour',
    empty: 'There has been none yet.',
    takes: 'reconciliations',
    async ask(query, signal) {
      const { reconciliations, next_cursor } = await get('/v1/reconciliations', query, signal);
      return { jobs: reconciliations, next_cursor };
    },
    tableOf: jobs => tableOf('Reconciliations', reconciliationColumns, jobs),
  });
  const job = createJobCard({ onChange: () => replays.refresh({ isNews: true }) });
  const start = createStartForm(() => {
    replays.refresh({ isNews: true });
    reconciliations.refresh({ isNews: true });
  });

  root.append(
    h('div', { class: 'top' }, h('h1', {}, 'Replay & reconcile'), zonePicker.element),
    h('div', { class: 'grid' }, start.element, job.element, replays.element, reconciliations.element),
  );
  const stop = every(3_000, () => {
    replays.refresh();
    reconciliations.refresh();
  });
  return {
    /** @param {Address} next */
    update(next) {
      address = next;
      zonePicker.show(next);
      replays.refresh({ isNews: true });
      reconciliations.refresh();
      job.show(next.job);
    },
    close() {
      stop();
      for (const card of [replays, reconciliations, job]) card.close();
    },
  };
}

/**
 * A list of jobs from its beginning, where the open jobs stand. "Show more" makes it longer.
 *
 * @template Job
 * @param {object} options
 * @param {string} options.title
 * @param {string} options.note
 * @param {string} options.empty
 * @param {string} options.takes
 * @param {(query: { readonly limit: number }, signal: AbortSignal)
 *   => Promise<{ readonly jobs: readonly Job[], readonly next_cursor: string | null }>} options.ask
 * @param {(jobs: readonly Job[]) => HTMLElement} options.tableOf
 */
function createJobsCard({ title, note, empty, takes, ask, tableOf: table }) {
  let shown = jobsPerPage;
  const more = h('button', { type: 'button', class: 'link', onclick: showMore, hidden: true }, 'Show more');
  /** @type {Card} */
  const card = createCard({
    ...{ title, note, empty, takes, width: 'w6', isFlush: true, actions: [more] },
    async load(signal) {
      const { jobs, next_cursor } = await ask({ limit: shown }, signal);
      const isCut = next_cursor !== null;
      more.hidden = !isCut || shown >= mostJobs;
      if (jobs.length === 0) return undefined;
      return isCut
        ? [table(jobs), h('p', { class: 'notice' }, `These are the first ${number(jobs.length)} jobs. There are more.`)]
        : table(jobs);
    },
  });
  function showMore() {
    shown = Math.min(shown * 2, mostJobs);
    card.refresh({ isNews: true });
  }
  return card;
}

const jobsPerPage = 25;
const mostJobs = 400;

/**
 * Starts a recount or a comparison of some minutes. Neither changes a count.
 * @param {() => void} onStart
 */
function createStartForm(onStart) {
  const now = Math.floor(serverTime() / 60_000) * 60_000;
  const from = createMomentField('from', 'From');
  const to = createMomentField('to', 'to');
  from.set(now - 65 * 60_000);
  to.set(now - 5 * 60_000);
  const message = h('div', { role: 'status' });
  const reconcile = h('button', {}, 'Reconcile');
  const form = h(
    'form',
    { class: 'line', novalidate: true, onsubmit: submit },
    from.element,
    to.element,
    h('button', { class: 'main' }, 'Recount (dry run)'),
    reconcile,
    h('button', { type: 'button', onclick: untilFinal, class: 'link' }, 'Use the last final hour'),
  );
  /** @param {unknown} error */
  const fail = error => message.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, messageOf(error)));

  async function untilFinal() {
    try {
      const { final_until } = await get('/v1/status');
      if (!final_until) return message.replaceChildren(h('span', { class: 'muted' }, 'Nothing is final yet.'));
      const end = Math.floor(Date.parse(final_until) / 60_000) * 60_000;
      from.set(end - 3_600_000);
      to.set(end);
    } catch (error) {
      fail(error);
    }
  }
  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const path = event.submitter === reconcile ? 'reconciliations' : 'replays';
    const begin = from.value();
    const end = begin === undefined ? undefined : to.value();
    if (begin === undefined || end === undefined) return;
    message.replaceChildren();
    try {
      const job = await post(`/v1/${path}`, queryOf({ from: begin, to: end }));
      if (path === 'replays') go({ job: job.id });
      else message.replaceChildren(h('span', { class: 'muted' }, 'The reconciliation is queued.'));
      onStart();
    } catch (error) {
      fail(error);
    }
  }
  const card = createCard({
    title: 'Start',
    note: 'The minutes must be final. A dry run shows what differs and changes nothing.',
  });
  const lacks = lacking('operate', 'Starting a recount or a comparison needs');
  if (lacks) card.body.append(lacks);
  else card.body.append(form, message);
  return card;
}

const kindTags = { done: 'good', failed: 'bad', cancelled: 'bad', running: 'warn', queued: '' };

/** @type {Column<ListedReplay>} */
const minutesOf = {
  head: 'Minutes',
  value: job => `${job.from}/${job.to}`,
  cell: job => [timeElement(job.from), ' – ', timeElement(job.to)],
};

/** @type {Column<ListedReplay>} */
const stateOfJob = {
  head: 'State',
  value: job => job.state,
  cell: job => h('span', { class: `tag ${kindTags[job.state]}` }, job.state),
};

/** @type {Column<ListedReplay>} */
const createdAt = { head: 'Created', value: job => job.created_at, cell: job => timeElement(job.created_at) };

/** @param {ListedReplay} job */
const reasonOf = job => (job.reason === 'replay' ? 'replay' : `restatement: ${job.reason}`);

/** @param {Address} address @returns {Column<ListedReplay>[]} */
const replayColumns = address => [
  createdAt,
  {
    head: 'Job',
    value: reasonOf,
    cell: job =>
      h(
        'a',
        { href: hrefOf({ ...address, job: job.id }), 'aria-current': job.id === address.job ? 'true' : undefined },
        reasonOf(job),
      ),
  },
  minutesOf,
  stateOfJob,
  { head: 'Applied', value: job => (job.apply ? 'yes' : 'dry run') },
  { head: 'Counts that differ', isNumber: true, value: job => job.cells_changed },
];

/** The API gives at most this many ads, those with the largest drift. If it gives as many, there may be more, and the sum of all is not known. */
const mostAds = 100;
/** @param {ListedReconciliation} job */
const driftOf = ({ result }) =>
  result.drift.length < mostAds ? result.drift.reduce((sum, ad) => sum + ad.drift, 0) : null;

/** @param {number | null} drift @param {number} differing */
function driftText(drift, differing) {
  const counts = counted(differing, 'count', 'counts');
  return drift === null ? `in ${counts} of ${mostAds} ads or more` : `${signed(drift)} in ${counts}`;
}

/** @type {Column<ListedReconciliation>[]} */
const reconciliationColumns = [
  createdAt,
  { head: 'Reason', value: job => job.reason },
  minutesOf,
  stateOfJob,
  { head: 'Counts compared', isNumber: true, value: job => job.result.cells_compared },
  {
    head: 'Drift',
    isNumber: true,
    value: job => (job.state === 'done' ? driftOf(job) : null),
    cell: job => {
      const { cells_differing: differing } = job.result;
      if (job.state !== 'done') return '';
      return h(
        'span',
        { class: differing === 0 ? 'tag good' : 'tag bad' },
        differing === 0 ? 'none' : driftText(driftOf(job), differing),
      );
    },
  },
  {
    head: 'Invalid clicks',
    isNumber: true,
    value: job => (job.state === 'done' ? job.result.invalid.cells_differing : null),
    cell: job => {
      const { cells_compared, cells_differing } = job.result.invalid;
      if (job.state !== 'done') return '';
      if (cells_compared === 0) return 'no rules';
      const differ = `differ in ${counted(cells_differing, 'count', 'counts')}`;
      return h(
        'span',
        { class: `tag ${cells_differing === 0 ? 'good' : 'bad'}` },
        cells_differing === 0 ? 'equal' : differ,
      );
    },
  },
];
