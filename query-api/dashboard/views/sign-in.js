/**
 * Sign in: takes an API key and exchanges it for a session. The address stays what it was, so whoever has signed in is where he
 * was before, and no address can say where to go.
 */
import { messageOf } from '../api.js';
import { h } from '../dom.js';
import { currentSession, isOver, leaveForProvider, providerFault, signIn, wantSignIn } from '../session.js';

/** @param {HTMLElement} root */
export function mount(root) {
  const input = h('input', {
    ...{ id: 'api-key', name: 'api_key', type: 'password', required: true, spellcheck: 'false' },
    ...{ autocomplete: 'current-password', placeholder: 'adclicks_…' },
  });
  const message = h('div', { role: 'status' });
  const button = h('button', { class: 'main' }, 'Sign in');
  const { keys, identity_provider } = currentSession();
  const fault = providerFault();
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
        fault !== null && h('p', { class: 'notice bad', role: 'alert' }, faults.get(fault) ?? faults.get('refused')),
        identity_provider && providerLink(),
        h('p', {}, identity_provider && isNeeded ? orByKey : sentences[keys]),
        !isSecureContext && h('p', { class: 'notice warn' }, inClear),
        form,
      ),
    ),
  );
  input.focus();
  return { update: () => undefined, close: () => root.replaceChildren() };
}

/** It leads to a page of others, so it is a link and no button. */
const providerLink = () =>
  h(
    'p',
    {},
    h(
      'a',
      { class: 'button main', href: '/v1/session/oidc', onclick: leaveForProvider },
      'Sign in with your organisation',
    ),
  );

/** By the word with which the query API leads back here. */
const faults = new Map([
  ['denied', 'The identity provider has not signed you in.'],
  [
    'refused',
    'This sign-in could not be ended: it took too long, was ended before, or was begun elsewhere. Begin it again.',
  ],
  ['away', 'The identity provider does not answer at the moment. Try again in a while.'],
  [
    'unmapped',
    'The identity provider knows you, but nobody has allowed your groups to use this service. Ask whoever runs it: the setting is OIDC_GROUP_KEYS.',
  ],
  [
    'ended',
    'The API key that stands for your group was revoked or has expired, so nobody of it can sign in. Ask whoever runs this service.',
  ],
]);

const over =
  'You are signed out: the session is over, or its API key has expired, or was revoked or rotated. Sign in to go on where you were.';
const sentences = {
  required: 'This query API answers only with an API key. Paste one with scope read, as it was shown when it was made.',
  optional: 'Here an API key is needed only to manage keys. With one, this page does only what the key may do.',
  off: 'Here an API key is needed only to manage keys.',
};
const orByKey = 'Or paste an API key with scope read, as it was shown when it was made.';
const inClear =
  'This page came without TLS, so whoever is between this browser and the server can read the key. Use https.';

/** @param {unknown} error */
function sentenceOf(error) {
  const text = messageOf(error);
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`.replace(/\.\.$/, '.');
}
