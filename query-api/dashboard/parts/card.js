/**
 * A card with a title. It loads what it shows, and says so if there is nothing to show or if loading fails.
 *
 * A card always shows the answer to its current question. `renew()` says that the question has changed: the old content
 * disappears at once. `refresh()` asks the same question again: the content stays until the next answer arrives, and is
 * marked as old if that answer fails or takes long (`asking.js`). Content that nobody has read again for a minute is marked
 * as old as well, for example after the computer slept; `[data-lasting]` in it says that it does not grow old.
 */
import { messageOf } from '../api.js';
import { createAsking } from '../asking.js';
import { msSince, thisMoment } from '../clock.js';
import { h } from '../dom.js';
import { local } from '../format.js';
import { createTake } from './take.js';

/** @import { Moment } from '../clock.js' */

/**
 * Something outside the card that the card fills too, for example tiles.
 * @typedef {{ clear(): void, stale(isStale: boolean): void }} Fill
 *
 * @typedef {Node | '' | undefined} Part
 * @typedef {Part | readonly Part[]} Content
 *
 * @typedef {object} CardOptions
 * @property {string} title
 * @property {string} [note]
 * @property {readonly Node[]} [actions]
 * @property {string} [width]
 * @property {boolean} [isFlush]
 * @property {string | (() => string)} [empty]
 * @property {readonly Fill[]} [fills]
 * @property {Element} [holds]
 * @property {string} [takes]
 * @property {(signal: AbortSignal) => Promise<Content>} [load]
 *
 * @typedef {object} Card
 * @property {HTMLElement} element
 * @property {HTMLElement} body The content. Cards without `load` fill it themselves.
 * @property {() => void} renew
 * @property {(options?: { readonly isNews?: boolean }) => void} refresh
 * @property {(...content: (string | Node)[]) => void} note
 * @property {() => void} look To be called after the card has filled its body itself.
 * @property {() => void} close
 */

/**
 * `load(signal)` resolves to the elements to show, or to undefined if there is nothing; then the card shows the text `empty`.
 * `fills` are filled by `load` as well, so they are cleared and marked as old together with the card. `holds` is an element
 * that stays in the body while a new question is loaded. `takes` is the name of the CSV file for the rows of the card.
 * @param {CardOptions} options
 * @returns {Card}
 */
export function createCard({
  title,
  note = '',
  actions = [],
  width,
  isFlush = false,
  empty = 'Nothing here yet.',
  fills = [],
  holds,
  takes,
  load,
}) {
  const body = h('div', { class: isFlush ? 'body flush' : 'body', 'data-busy': load ? 'first' : undefined });
  const noteElement = h('span', { class: 'note' }, note);
  const take = takes === undefined ? undefined : createTake(body, takes);
  const head = h('header', {}, h('h2', {}, title), noteElement, h('span', { class: 'push' }), actions, take?.element);
  const strip = h('p', { class: 'notice warn', role: 'status', hidden: true });
  const element = h('section', { class: `card ${width ?? ''}`, 'aria-label': title }, head, strip, body);
  const look = () => take?.look();

  const answers = createAnswers({ body, strip, fills, empty, look, again: () => asking.refresh({ isWished: true }) });
  const asking = createAsking(load ?? nothing, {
    start() {
      element.setAttribute('aria-busy', 'true');
      answers.grow();
    },
    answer: answers.succeed,
    failure: answers.fail,
    slow: answers.wait,
    end: () => element.removeAttribute('aria-busy'),
  });
  return {
    element,
    body,
    renew() {
      answers.forget();
      noteElement.replaceChildren(note);
      if (!holds || body.firstElementChild !== holds) body.replaceChildren();
      body.dataset.busy = 'first';
      look();
      asking.renew();
    },
    refresh: asking.refresh,
    note: (...content) => noteElement.replaceChildren(...content),
    look,
    close: asking.giveUp,
  };
}

/**
 * Shows answers in the body of a card. If a newer answer fails or takes long, the strip above says how old the content is.
 * @param {{ readonly body: HTMLElement, readonly strip: HTMLElement, readonly fills: readonly Fill[],
 *   readonly empty: string | (() => string), look(): void, again(): void }} card
 */
function createAnswers({ body, strip, fills, empty, look, again }) {
  /** When the content was loaded. Undefined until there is an answer. @type {Moment | undefined} */
  let asOf;
  const say = createSay(strip);
  const since = () => `As of ${local(asOf?.server ?? 0, 'seconds')}.`;
  /** @param {boolean} isStale */
  const mark = isStale => {
    body.toggleAttribute('data-stale', isStale);
    for (const fill of fills) fill.stale(isStale);
  };
  /** @param {Content} content */
  const show = content => {
    delete body.dataset.busy;
    replaceWhatDiffers(body, content);
    look();
  };
  const self = {
    /** @param {Content} content */
    succeed(content) {
      asOf = thisMoment();
      growing.add(self);
      watchGrowing();
      say();
      mark(false);
      const none = () => h('p', { class: 'notice' }, typeof empty === 'function' ? empty() : empty);
      show(content === undefined ? none() : content);
    },
    /** @param {unknown} error */
    fail(error) {
      if (asOf === undefined) return show(failure(error, again));
      mark(true);
      say(`${since()} Newer numbers could not be read: ${messageOf(error)} `, buttonTo('Try again', again));
    },
    wait() {
      if (asOf === undefined) return say('Still loading. The answer takes longer than usual.');
      mark(true);
      say(`${since()} Newer numbers take longer than usual.`);
    },
    /** Marks content that was not read again for long. */
    grow() {
      if (!body.isConnected) growing.delete(self);
      if (asOf === undefined || !strip.hidden || msSince(asOf) < oldAfterMs || body.querySelector('[data-lasting]'))
        return;
      mark(true);
      say(`${since()} There may be newer numbers. `, buttonTo('Read again', again));
    },
    forget() {
      asOf = undefined;
      say();
      mark(false);
      for (const fill of fills) fill.clear();
    },
  };
  return self;
}

/** @param {string} text @param {() => void} again */
const buttonTo = (text, again) => h('button', { type: 'button', onclick: again }, text);

/** Says something in the strip, or nothing. @param {HTMLElement} strip @returns {(...words: (string | Node)[]) => void} */
function createSay(strip) {
  return (...words) => {
    strip.hidden = words.length === 0;
    // A screen reader reads each new text aloud, so an equal one is not set again.
    const text = words.map(word => (typeof word === 'string' ? word : word.textContent)).join('');
    if (text !== strip.textContent) strip.replaceChildren(...words);
  };
}

/** Cards that are refreshed at all are refreshed four times in that time. */
const oldAfterMs = 60_000;

/** The answers that are shown. @type {Set<{ grow(): void }>} */
const growing = new Set();
const growAll = () => {
  for (const answers of [...growing]) answers.grow();
};

/** Once for all cards. */
function watchGrowing() {
  if (isWatching) return;
  isWatching = true;
  setInterval(growAll, 1_000);
  document.addEventListener('visibilitychange', growAll);
}
let isWatching = false;

/**
 * Equal content stays in the page, and so does the keyboard's focus in it. A chart that is removed and inserted again would
 * have to be drawn again.
 * @param {HTMLElement} body
 * @param {Content} content
 */
function replaceWhatDiffers(body, content) {
  const nodes = [content].flat().filter(node => node instanceof Node);
  /** @param {Node} node @param {number} i */
  const isThere = (node, i) => node.isEqualNode(body.childNodes[i] ?? null);
  if (nodes.length !== body.childNodes.length || !nodes.every(isThere)) body.replaceChildren(...nodes);
}

/** @returns {Promise<Content>} */
const nothing = async () => undefined;

/** @param {unknown} error @param {() => void} again */
function failure(error, again) {
  return h(
    'div',
    { class: 'notice bad', role: 'alert' },
    h('span', {}, messageOf(error)),
    buttonTo('Try again', again),
  );
}
