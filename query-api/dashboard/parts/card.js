/** A card with a title that loads what it shows, and says so when there is nothing or it fails. */
import { h } from '../dom.js';

/**
 * `load(signal)` resolves to the elements to show, or to undefined where there is nothing; `empty` is said then.
 * `refresh()` loads again, without a flicker: what is there stays until the next is.
 */
export function createCard({ title, note, actions = [], width, isFlush = false, empty = 'Nothing here yet.', load }) {
  const body = h('div', { class: isFlush ? 'body flush' : 'body', 'data-busy': load ? 'first' : undefined });
  const noteElement = h('span', { class: 'note' }, note ?? '');
  const head = h('header', {}, h('h2', {}, title), noteElement, h('span', { class: 'push' }), actions);
  const element = h('section', { class: `card ${width ?? ''}`, 'aria-label': title }, head, body);
  let running;

  const show = (...content) => {
    delete body.dataset.busy;
    body.replaceChildren(...content);
  };
  const refresh = async () => {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    element.setAttribute('aria-busy', 'true');
    try {
      const content = await load(signal);
      if (signal.aborted) return;
      if (content === undefined) show(h('p', { class: 'notice' }, empty));
      // A chart keeps its place: taking it out and in again would make it anew.
      else if (body.childElementCount !== 1 || body.firstElementChild !== content) show(...[content].flat());
      else delete body.dataset.busy;
    } catch (error) {
      if (!signal.aborted) show(failure(error, refresh));
    } finally {
      if (!signal.aborted) element.removeAttribute('aria-busy');
    }
  };
  return { element, refresh, note: text => noteElement.replaceChildren(text), close: () => running?.abort() };
}

export function failure(error, again) {
  return h(
    'div',
    { class: 'notice bad', role: 'alert' },
    h('span', {}, error.message),
    again && h('button', { type: 'button', onclick: again }, 'Try again'),
  );
}
