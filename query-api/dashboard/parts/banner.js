/** Above every view: what is wrong with what is shown, since when, in words. Nothing where all is well. */
import { h } from '../dom.js';
import { counted, local, shortTime } from '../format.js';

export function createBanner(element) {
  let latest;
  let said = '';
  return {
    show(event, state) {
      latest = event ?? latest;
      const lines = [...streamLines(latest, state), ...stallLines(latest)];
      const text = lines.map(([, words]) => words).join(' ');
      // Said once, and not each second.
      if (text === said) return;
      said = text;
      element.replaceChildren(...lines.map(([level, words]) => h('p', { class: `notice ${level}` }, words)));
    },
  };
}

function streamLines(latest, state) {
  const asOf = latest ? ` What is live on this page is as of ${local(latest.at, 'seconds')}.` : '';
  if (state === 'silent')
    return [['warn', `Nothing new has come from the query API for more than three seconds.${asOf}`]];
  if (state === 'lost') return [['warn', `The query API cannot be reached.${asOf}`]];
  if (state === 'down') return [['bad', `The store (ClickHouse) does not answer.${asOf}`]];
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
      `${which} not being counted: ${names.join(', ')}${more}. Newer clicks of theirs are in no number on this page. See whether the aggregator runs.`,
    ],
  ];
}
