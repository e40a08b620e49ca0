/**
 * Sign in: takes an API key and exchanges it for a session. The address stays what it was, so whoever has signed in is where he
 * was before, and no address can say where to go.
 */
import { messageOf } from '../api.js';
import { h } from '../dom.js';
import { currentSession, isOver, signIn, wantSignIn } from '../session.js';

/** @param {HTMLElement} root */
export function mount(root) {
  const input = h('input', {
    ...{ id: 'api-key', name: 'api_key', type: 'password', required: true, spellcheck: 'false' },
    ...{ autocomplete: 'current-password', placeholder: 'adclicks_…' },
  });
  const message = h('div', { role: 'status' });
  const button = h('button', { class: 'main' }, 'Sign in');
  const { keys } = currentSession();
  const isNeeded = keys === 'required';
  const form = h(
    'form',
    { class: 'sign-in', onsubmit: submit },
    h('label', { class: 'field' }, 'API key', input),
    h(
      'div',
      { class: 'line' },
      button,
      !isNeeded && h('button', { type: 'button', onclick: () => wantSignIn(false) }, 'Go on without'),
    ),
    message,
  );
  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    message.replaceChildren();
    try {
      await signIn(input.value);
      input.value = '';
    } catch (error) {
      message.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, sentenceOf(error)));
      input.focus();
      input.select();
    } finally {
      button.disabled = false;
    }
  }
  root.append(
    h(
      'section',
      { class: 'card sign-in-card', 'aria-label': 'Sign in' },
      h('header', {}, h('h1', {}, 'Sign in')),
      h(
        'div',
        { class: 'body' },
        isOver() && h('p', { class: 'notice warn', role: 'status' }, over),
        h('p', {}, sentences[keys]),
        !isSecureContext && h('p', { class: 'notice warn' }, inClear),
        form,
      ),
    ),
  );
  input.focus();
  return { update: () => undefined, close: () => root.replaceChildren() };
}

const over =
  'You are signed out: the session is over, or its API key has expired, or was revoked or rotated. Sign in to go on where you were.';
const sentences = {
  required: 'This query API answers only with an API key. Paste one with scope read, as it was shown when it was made.',
  optional: 'Here an API key is needed only to manage keys. With one, this page does only what the key may do.',
  off: 'Here an API key is needed only to manage keys.',
};
const inClear =
  'This page came without TLS, so whoever is between this browser and the server can read the key. Use https.';

/** @param {unknown} error */
function sentenceOf(error) {
  const text = messageOf(error);
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`.replace(/\.\.$/, '.');
}
