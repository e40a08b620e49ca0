/** Replay and reconcile: start a recount, watch it, read what differs, and apply it. */

import { go, hrefOf } from '../address.js';
import { get, post } from '../api.js';
import { h } from '../dom.js';
import { inputTime, number, signed, timeElement } from '../format.js';
import { createCard } from '../parts/card.js';
import { createJobCard } from '../parts/job-card.js';
import { tableOf } from '../parts/table.js';

export function mount(root) {
  let address = {};
  const replays = createJobsCard({
    title: 'Replays and restatements',
    note: 'recounts of final minutes from raw clicks; what runs comes first',
    empty: 'None yet. Late clicks start one by themselves.',
    path: '/v1/replays',
    jobsOf: answer => answer.replays,
    tableOf: jobs => tableOf('Replays', replayColumns(address), jobs),
  });
  const reconciliations = createJobsCard({
    title: 'Reconciliations',
    note: 'final counts against raw clicks, in SQL; one by itself for each final hour',
    empty: 'None yet.',
    path: '/v1/reconciliations',
    jobsOf: answer => answer.reconciliations,
    tableOf: jobs => tableOf('Reconciliations', reconciliationColumns, jobs),
  });
  const job = createJobCard({ onChange: () => replays.refresh() });
  const start = createStartForm(() => {
    replays.refresh();
    reconciliations.refresh();
  });

  root.append(
    h('div', { class: 'top' }, h('h1', {}, 'Replay & reconcile')),
    h('div', { class: 'grid' }, start.element, job.element, replays.element, reconciliations.element),
  );
  const timer = setInterval(() => {
    if (document.hidden) return;
    replays.refresh();
    reconciliations.refresh();
  }, 3_000);
  return {
    update(next) {
      address = next;
      replays.refresh();
      reconciliations.refresh();
      job.show(next.job);
    },
    close() {
      clearInterval(timer);
      job.close();
    },
  };
}

/** A list of jobs from its beginning, where the open ones stand, as far as it was asked for. */
function createJobsCard({ title, note, empty, path, jobsOf, tableOf: table }) {
  let shown = jobsPerPage;
  const more = h('button', { type: 'button', class: 'link', onclick: showMore, hidden: true }, 'show more');
  const card = createCard({
    title,
    note,
    empty,
    width: 'w6',
    isFlush: true,
    actions: [more],
    async load(signal) {
      const answer = await get(path, { limit: shown }, signal);
      const jobs = jobsOf(answer);
      more.hidden = answer.next_cursor === null || shown >= mostJobs;
      return jobs.length === 0 ? undefined : table(jobs);
    },
  });
  function showMore() {
    shown = Math.min(shown * 2, mostJobs);
    card.refresh();
  }
  return card;
}

const jobsPerPage = 25;
const mostJobs = 400;

/** Which minutes, and whether to recount or to compare. Nothing it starts changes a count. */
function createStartForm(onStart) {
  const now = Math.floor(Date.now() / 60_000) * 60_000;
  const from = h('input', {
    type: 'datetime-local',
    name: 'from',
    required: true,
    value: inputTime(now - 65 * 60_000),
  });
  const to = h('input', { type: 'datetime-local', name: 'to', required: true, value: inputTime(now - 5 * 60_000) });
  const message = h('div', { role: 'status' });
  const form = h(
    'form',
    { class: 'line', onsubmit: submit },
    h('label', { class: 'field' }, 'From', from),
    h('label', { class: 'field' }, 'to', to),
    h('button', { class: 'main', value: 'replays' }, 'Recount (dry run)'),
    h('button', { value: 'reconciliations' }, 'Reconcile'),
    h('button', { type: 'button', onclick: untilFinal, class: 'link' }, 'last final hour'),
  );

  async function untilFinal() {
    const { final_until } = await get('/v1/status');
    if (!final_until) return message.replaceChildren(h('span', { class: 'muted' }, 'Nothing is final yet.'));
    const end = Math.floor(Date.parse(final_until) / 60_000) * 60_000;
    from.value = inputTime(end - 3_600_000);
    to.value = inputTime(end);
  }
  async function submit(event) {
    event.preventDefault();
    const path = event.submitter?.value ?? 'replays';
    const body = { from: new Date(from.value).toISOString(), to: new Date(to.value).toISOString() };
    message.replaceChildren();
    try {
      const job = await post(`/v1/${path}`, body);
      if (path === 'replays') go({ job: job.id });
      else message.replaceChildren(h('span', { class: 'muted' }, 'The reconciliation is queued.'));
      onStart();
    } catch (error) {
      message.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, error.message));
    }
  }
  const card = createCard({
    title: 'Start',
    note: 'minutes must be final; a dry run only tells what differs',
  });
  card.element.lastElementChild.append(form, message);
  return card;
}

const kindTags = { done: 'good', failed: 'bad', cancelled: 'bad', running: 'warn', queued: '' };

function range(job) {
  return [timeElement(job.from), ' – ', timeElement(job.to)];
}

function jobState(job) {
  return h('span', { class: `tag ${kindTags[job.state]}` }, job.state);
}

const replayColumns = address => [
  { head: 'Asked for', cell: job => timeElement(job.created_at) },
  {
    head: 'Job',
    cell: job =>
      h(
        'a',
        { href: hrefOf({ ...address, job: job.id }), 'aria-current': job.id === address.job ? 'true' : undefined },
        `${job.reason === 'replay' ? 'replay' : `restate: ${job.reason}`}`,
      ),
  },
  { head: 'Minutes', cell: range },
  { head: 'State', cell: jobState },
  { head: 'Applied', cell: job => (job.apply ? 'yes' : 'dry run') },
  { head: 'Differ', isNumber: true, cell: job => number(job.cells_changed) },
];

const reconciliationColumns = [
  { head: 'Asked for', cell: job => timeElement(job.created_at) },
  { head: 'Why', cell: job => job.reason },
  { head: 'Minutes', cell: range },
  { head: 'State', cell: jobState },
  { head: 'Compared', isNumber: true, cell: job => number(job.result.cells_compared) },
  {
    head: 'Drift',
    isNumber: true,
    cell: job => {
      const drift = job.result.drift.reduce((sum, ad) => sum + ad.drift, 0);
      const { cells_differing: differing } = job.result;
      if (job.state !== 'done') return '';
      return h(
        'span',
        { class: differing === 0 ? 'tag good' : 'tag bad' },
        differing === 0 ? 'none' : `${signed(drift)} in ${number(differing)}`,
      );
    },
  },
];
