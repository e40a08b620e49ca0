/** The lines above every view that say what is wrong with the numbers, and since when. There are none if all is well. */
import { failedOf, get } from '../api.js';
import { serverTime } from '../clock.js';
import { h } from '../dom.js';
import { counted, duration, local, shortTime } from '../format.js';

/** @import { LiveEvent } from '../api-types.ts' */
/** @import { LiveState } from '../live.js' */

/** @typedef {readonly [level: 'bad' | 'warn', words: string]} Line */
/** @typedef {Readonly<Record<string, string>>} Failed  The parts that are not ready, each with its reason. */

/** How often the banner asks for the reason while no live event arrives. */
const askAgainMs = 4_000;

/** @param {HTMLElement} element */
export function createBanner(element) {
  /** @type {LiveEvent | undefined} */
  let latest;
  /** @type {LiveState | undefined} */
  let state;
  let said = '';
  /** @type {Failed} */
  let failed = {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let asking;
  const draw = () => {
    const lines = [...streamLines(latest, state, failed), ...stallLines(latest)];
    const text = lines.map(([, words]) => words).join(' ');
    // A screen reader reads each new text aloud, so an equal text is not set again.
    if (text === said) return;
    said = text;
    element.replaceChildren(...lines.map(([level, words]) => h('p', { class: `notice ${level}` }, words)));
  };
  const askWhy = async () => {
    try {
      await get('/readyz');
      failed = {};
    } catch (error) {
      failed = failedOf(error) ?? {};
    }
    draw();
    asking = state === 'silent' ? setTimeout(askWhy, askAgainMs) : undefined;
    if (asking === undefined) failed = {};
  };
  return {
    /** @param {LiveEvent | undefined} event @param {LiveState} now */
    show(event, now) {
      latest = event ?? latest;
      state = now;
      if (state === 'silent' && asking === undefined) asking = setTimeout(askWhy, 0);
      draw();
    },
  };
}

/**
 * @param {LiveEvent | undefined} latest
 * @param {LiveState | undefined} state
 * @param {Failed} failed
 * @returns {Line[]}
 */
function streamLines(latest, state, failed) {
  const asOf = latest ? ` The live numbers on this page are as of ${local(latest.at, 'seconds')}.` : '';
  const isDown = state === 'down' || (state === 'silent' && failed['clickhouse']);
  if (isDown) return [['bad', `The store (ClickHouse) does not answer.${asOf}`]];
  if (state === 'silent')
    return [
      [
        'warn',
        `No live event has arrived from the query API for more than three seconds.${asOf} The page opens a new connection every 15 s.`,
      ],
    ];
  if (state === 'delayed' && latest) {
    const delayMs = serverTime() - Date.parse(latest.at);
    // Whole tens, so that a screen reader does not read a new line each second.
    const by = duration(Math.max(10_000, Math.floor(delayMs / 10_000) * 10_000));
    return [
      [
        'warn',
        `Live events are delayed by more than ${by}: a proxy between this browser and the query API holds them back, or the clocks of servers differ. The live numbers on this page are as old.`,
      ],
    ];
  }
  if (state === 'lost')
    return [['warn', `The query API cannot be reached.${asOf} The page tries again every few seconds.`]];
  if (state === 'away') return [['warn', 'Kafka does not answer, so the number of unread records is not known.']];
  return [];
}

/** The partition that has stalled longest comes first. @param {LiveEvent | undefined} latest @returns {Line[]} */
function stallLines(latest) {
  const stalled = [...(latest?.stalled ?? [])].sort((a, b) => (a.since < b.since ? -1 : 1));
  if (stalled.length === 0) return [];
  const names = stalled.slice(0, 4).map(({ partition, since }) => `${partition} (since ${shortTime(since)})`);
  const more = stalled.length > 4 ? ` and ${stalled.length - 4} more` : '';
  const which = counted(stalled.length, 'partition is', 'partitions are');
  return [
    [
      'bad',
      `${which} not being counted: ${names.join(', ')}${more}. Their newer clicks are missing from all numbers on this page. “Operations” shows whether the aggregator and the sink work.`,
    ],
  ];
}
