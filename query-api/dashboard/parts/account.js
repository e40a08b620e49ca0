/** Who is signed in, in the bar: the label of the key, what it may do, and how to sign out. Or how to sign in. */
import { messageOf } from '../api.js';
import { h } from '../dom.js';
import { timeElement } from '../format.js';
import { currentSession, needsSignIn, signOut, wantSignIn } from '../session.js';

/** @param {HTMLElement} element */
export function createAccount(element) {
  return {
    show() {
      const { key } = currentSession();
      if (key === null) element.replaceChildren(needsSignIn() ? '' : signInButton());
      else element.replaceChildren(...signedIn());
    },
  };
}

const signInButton = () => h('button', { type: 'button', class: 'link', onclick: () => wantSignIn(true) }, 'Sign in');

function signedIn() {
  const { key, until, region } = currentSession();
  if (key === null) return [];
  const failed = h('div', {});
  async function leave() {
    try {
      await signOut();
    } catch (error) {
      failed.replaceChildren(h('p', { class: 'bad-text', role: 'alert' }, messageOf(error)));
    }
  }
  const details = h(
    'div',
    { id: 'account-details', class: 'account-details', popover: 'auto', role: 'group', 'aria-label': 'Signed in' },
    h('p', {}, h('b', {}, key.label)),
    h('p', { class: 'muted' }, 'API key ', h('code', {}, key.id)),
    h('p', {}, `May: ${key.scopes.join(', ')}.`),
    region && h('p', { class: 'muted' }, `This service is in region ${region}.`),
    until && h('p', { class: 'muted' }, 'Signed in until ', timeElement(until), ' at the latest.'),
    failed,
    h('button', { type: 'button', 'data-sign-out': '', onclick: leave }, 'Sign out'),
  );
  const button = h(
    'button',
    { type: 'button', class: 'link account-name', popovertarget: 'account-details', title: `Signed in: ${key.label}` },
    key.label,
  );
  return [button, details];
}
