/** Above every view: what is wrong with what is shown, since when, in words. Nothing where all is well. */
import { get } from '../api.js';
import { h } from '../dom.js';
import { counted, local, shortTime } from '../format.js';

/** How often it is asked why nothing comes. */
const askAgainMs = 4_000;

export function createBanner(element) {
  let latest;
  let state;
  let said = '';
  let failed = {};
  let asking;
  const draw = () => {
    const lines = [...streamLines(latest, state, failed), ...stallLines(latest)];
    const text = lines.map(([, words]) => words).join(' ');
    // Said once, and not each second.
    if (text === said) return;
    said = text;
    element.replaceChildren(...lines.map(([level, words]) => h('p', { class: `notice ${level}` }, words)));
  };
  const askWhy = async () => {
    try {
      await get('/readyz');
      failed = {};
    } catch (error) {
      failed = error.body?.failed ?? {};
    }
    draw();
    asking = state === 'silent' ? setTimeout(askWhy, askAgainMs) : undefined;
    if (asking === undefined) failed = {};
  };
  return {
    show(event, now) {
      latest = event ?? latest;
      state = now;
      if (state === 'silent' && asking === undefined) asking = setTimeout(askWhy, 0);
      draw();
    },
  };
}

function streamLines(latest, state, failed) {
  const asOf = latest ? ` What is live on this page is as of ${local(latest.at, 'seconds')}.` : '';
  const isDown = state === 'down' || (state === 'silent' && failed.clickhouse);
  if (isDown) return [['bad', `The store (ClickHouse) does not answer.${asOf}`]];
  if (state === 'silent')
    return [['warn', `Nothing new has come from the query API for more than three seconds.${asOf}`]];
  if (state === 'lost') return [['warn', `The query API cannot be reached.${asOf}`]];
  if (state === 'away') return [['warn', 'Kafka does not answer: it is not known how much is unread.']];
  return [];
}

/** The oldest first. */
function stallLines(latest) {
  const stalled = [...(latest?.stalled ?? [])].sort((a, b) => (a.since < b.since ? -1 : 1));
  if (stalled.length === 0) return [];
  const names = stalled.slice(0, 4).map(({ partition, since }) => `${partition} (since ${shortTime(since)})`);
  const more = stalled.length > 4 ? ` and ${stalled.length - 4} more` : '';
  const which = counted(stalled.length, 'partition is', 'partitions are');
  return [
    [
      'bad',
      `${which} not being counted: ${names.join(', ')}${more}. Newer clicks of theirs are in no number on this page. “Operations” tells whether the aggregator and the sink run.`,
    ],
  ];
}
