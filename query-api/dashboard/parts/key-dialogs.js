/**
 * The dialogs of the page for keys: to rotate and to revoke a key, and to show a new secret. A secret is in the page only while
 * its dialog is open, and nowhere else: in no address, in nothing that the browser keeps, and in no log.
 */
import { messageOf, post, remove } from '../api.js';
import { h } from '../dom.js';
import { currentSession } from '../session.js';
import { copyText } from './take.js';

/** @import { ApiKey } from '../api-types.ts' */
/** @import { Child } from '../dom.js' */

/** @param {ApiKey} key @param {() => void} onChange */
export function confirmRevoke(key, onChange) {
  ask({
    title: `Revoke “${key.label}”?`,
    text: [
      'Whoever uses this key is refused within two seconds, and signed out of the dashboard. It cannot be undone.',
      isOwn(key) && h('b', {}, ' You are signed in with this key: you will be signed out.'),
    ],
    keep: 'Keep it',
    act: 'Revoke',
    async work() {
      await remove(`/v1/keys/${key.id}`);
      onChange();
    },
  });
}

/** @param {ApiKey} key @param {() => void} onChange */
export function confirmRotate(key, onChange) {
  const overlap = h(
    'select',
    { name: 'overlap' },
    ...overlaps.map(([seconds, text]) => h('option', { value: seconds }, text)),
  );
  ask({
    title: `Rotate “${key.label}”?`,
    text: [
      'The key gets another secret. The present one stays valid for a while, so that programs can change over: ',
      h('label', { class: 'field' }, 'for', overlap),
      isOwn(key) &&
        h('b', {}, ' You are signed in with this key: you have to sign in again when its secret has ended.'),
    ],
    keep: 'Leave it as it is',
    act: 'Rotate',
    async work() {
      const { api_key, label } = await post(`/v1/keys/${key.id}/rotate`, { overlap_s: Number(overlap.value) });
      showSecret(label, api_key);
      onChange();
    },
  });
}

/** The API allows up to 30 days. Zero is for a secret that has leaked. */
const overlaps = /** @type {const} */ ([
  [3_600, 'an hour'],
  [86_400, 'a day'],
  [7 * 86_400, 'a week'],
  [0, 'no time: it has leaked'],
]);

/** @param {string} label @param {string} secret */
export function showSecret(label, secret) {
  const code = h('code', { class: 'secret', tabindex: '0', 'data-secret': '' }, secret);
  /** @type {HTMLButtonElement} */
  const copy = h('button', { type: 'button', onclick: () => copyText(secret, copy) }, 'Copy');
  /** @type {HTMLDialogElement} */
  const dialog = h(
    'dialog',
    { 'aria-labelledby': 'secret-title', onclose: () => dialog.remove() },
    h('h2', { id: 'secret-title' }, `The API key “${label}”`),
    h('p', {}, 'Store it now. It is shown only here, and nothing but this page has it.'),
    code,
    h(
      'div',
      { class: 'line' },
      copy,
      h('button', { type: 'button', class: 'main', onclick: () => dialog.close() }, 'I have stored it'),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {ApiKey} key */
const isOwn = key => currentSession().key?.id === key.id;

/**
 * @param {{ readonly title: string, readonly text: readonly Child[], readonly keep: string, readonly act: string,
 *   work(): Promise<void> }} options
 */
function ask({ title, text, keep, act, work }) {
  const failed = h('div', {});
  const acting = h('button', { type: 'button', class: 'danger', onclick: run }, act);
  /** @type {HTMLDialogElement} */
  const dialog = h(
    'dialog',
    { 'aria-labelledby': 'ask-title', onclose: () => dialog.remove() },
    h('h2', { id: 'ask-title' }, title),
    h('p', {}, ...text),
    failed,
    h(
      'div',
      { class: 'line' },
      h('button', { type: 'button', autofocus: true, onclick: () => dialog.close() }, keep),
      acting,
    ),
  );
  async function run() {
    acting.disabled = true;
    try {
      await work();
      dialog.close();
    } catch (error) {
      acting.disabled = false;
      failed.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, messageOf(error)));
    }
  }
  document.body.append(dialog);
  dialog.showModal();
}
