/**
 * A card with a title that loads what it shows, and says so when there is nothing or it fails.
 *
 * What it shows is always the answer to the question of the moment. `renew()`: the question is another one; what was shown
 * goes at once. `refresh()`: the same question again; what is there stays until the next answer comes, and is marked where
 * that fails or takes long (`asking.js`).
 */
import { createAsking } from '../asking.js';
import { h } from '../dom.js';
import { local } from '../format.js';
import { createTake } from './take.js';

/**
 * `load(signal)` resolves to the elements to show, or to undefined where there is nothing; `empty` is said then (a text, or
 * what tells it). `fills`: what else it fills, with `clear()` and `stale(isStale)`. `holds`: an element that keeps its place.
 * `takes`: the name of the file that its rows go into.
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
  const take = takes && createTake(body, takes);
  const head = h('header', {}, h('h2', {}, title), noteElement, h('span', { class: 'push' }), actions, take?.element);
  const strip = h('p', { class: 'notice warn', role: 'status', hidden: true });
  const element = h('section', { class: `card ${width ?? ''}`, 'aria-label': title }, head, strip, body);
  let asOf;
  const again = () => asking.refresh();

  const tell = (...words) => {
    strip.replaceChildren(...words);
    strip.hidden = words.length === 0;
  };
  const mark = isStale => {
    body.toggleAttribute('data-stale', isStale);
    for (const one of fills) one.stale(isStale);
  };
  const show = content => {
    delete body.dataset.busy;
    const nodes = [content].flat().filter(Boolean);
    // What is equal stays where it is, and the keyboard's focus in it; a chart taken out and in again would be made anew.
    const isThere = (node, i) => node.isEqualNode(body.childNodes[i] ?? null);
    if (nodes.length !== body.childNodes.length || !nodes.every(isThere)) body.replaceChildren(...nodes);
    take?.look();
  };
  const succeed = content => {
    asOf = Date.now();
    tell();
    mark(false);
    show(content === undefined ? h('p', { class: 'notice' }, typeof empty === 'function' ? empty() : empty) : content);
  };
  const fail = error => {
    if (asOf === undefined) return show(failure(error, again));
    mark(true);
    tell(
      `As of ${local(asOf, 'seconds')}. Newer numbers could not be read: ${error.message} `,
      h('button', { type: 'button', onclick: again }, 'Try again'),
    );
  };
  const waitLong = () => {
    if (asOf === undefined) return tell('Still loading: the answer takes longer than usual.');
    mark(true);
    tell(`As of ${local(asOf, 'seconds')}. Newer numbers take longer than usual.`);
  };

  const asking = createAsking(load, {
    start: () => element.setAttribute('aria-busy', 'true'),
    answer: succeed,
    failure: fail,
    slow: waitLong,
    end: () => element.removeAttribute('aria-busy'),
  });
  return {
    element,
    renew() {
      asOf = undefined;
      tell();
      mark(false);
      for (const one of fills) one.clear();
      noteElement.replaceChildren(note);
      if (!holds || body.firstElementChild !== holds) body.replaceChildren();
      body.dataset.busy = 'first';
      take?.look();
      asking.renew();
    },
    refresh: asking.refresh,
    note: (...content) => noteElement.replaceChildren(...content),
    /** After rows were put into the body by hand. */
    look: () => take?.look(),
    close: asking.giveUp,
  };
}

export function failure(error, again) {
  return h(
    'div',
    { class: 'notice bad', role: 'alert' },
    h('span', {}, error.message),
    again && h('button', { type: 'button', onclick: again }, 'Try again'),
  );
}
