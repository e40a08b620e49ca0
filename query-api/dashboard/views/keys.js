/** Keys: lists API keys, makes one, rotates and revokes them. Only with a key of scope admin. */

import { get, messageOf, post } from '../api.js';
import { serverTime } from '../clock.js';
import { h } from '../dom.js';
import { timeElement } from '../format.js';
import { createCard } from '../parts/card.js';
import { confirmRevoke, confirmRotate, showSecret } from '../parts/key-dialogs.js';
import { lacking } from '../parts/lacking.js';
import { tableOf } from '../parts/table.js';
import { createZonePicker } from '../parts/zone-picker.js';
import { every } from '../poll.js';
import { currentSession } from '../session.js';

/** @import { Address } from '../address.js' */
/** @import { ApiKey, Scope } from '../api-types.ts' */
/** @import { Column } from '../parts/table.js' */

/** @param {HTMLElement} root */
export function mount(root) {
  const zonePicker = createZonePicker();
  const top = h('div', { class: 'top' }, h('h1', {}, 'Keys'), zonePicker.element);
  const lacks = lacking('admin', 'Managing keys needs');
  const list = createKeyList();
  root.append(
    top,
    lacks ? h('div', { class: 'card' }, lacks) : h('div', { class: 'grid' }, createForm(list.changed), list.element),
  );
  const stop = lacks ? () => undefined : every(10_000, list.refresh);
  return {
    /** @param {Address} address */
    update(address) {
      zonePicker.show(address);
      if (!lacks) list.refresh();
    },
    close() {
      stop();
      list.close();
    },
  };
}

function createKeyList() {
  let shown = keysPerPage;
  const more = h('button', { type: 'button', class: 'link', onclick: showMore, hidden: true }, 'Show more');
  const card = createCard({
    title: 'API keys',
    note: 'the newest first; those that have ended stay in the list',
    isFlush: true,
    actions: [more],
    takes: 'keys',
    empty: 'There is no key yet.',
    async load(signal) {
      const { keys, next_cursor } = await get('/v1/keys', { limit: shown }, signal);
      more.hidden = next_cursor === null || shown >= mostKeys;
      if (keys.length === 0) return undefined;
      const isCut = next_cursor !== null && shown >= mostKeys;
      const rest = isCut && h('p', { class: 'notice' }, 'There are more. “adclicks keys list” lists all of them.');
      return [tableOf('API keys', columnsOf(changed), keys), rest || ''];
    },
  });
  function showMore() {
    shown = mostKeys;
    changed();
  }
  function changed() {
    card.refresh({ isNews: true });
  }
  return { ...card, changed };
}

const keysPerPage = 50;
/** The API gives no more at once. */
const mostKeys = 200;

const states = { usable: 'good', expired: 'warn', revoked: 'bad' };

/** @param {() => void} onChange @returns {Column<ApiKey>[]} */
const columnsOf = onChange => [
  {
    head: 'Label',
    isWide: true,
    value: key => key.label,
    cell: key => [key.label, key.id === currentSession().key?.id && h('span', { class: 'muted' }, ' (this browser)')],
  },
  { head: 'Id', value: key => key.id, cell: key => h('code', {}, key.id) },
  { head: 'Scopes', isWide: true, value: key => key.scopes.join(', ') },
  { head: 'Ads', isWide: true, value: adsOf },
  { head: 'Region', value: key => key.region ?? 'any' },
  {
    head: 'State',
    value: key => key.state,
    cell: key => h('span', { class: `tag ${states[key.state]}` }, key.state),
  },
  {
    head: 'Expires',
    value: key => key.expires_at,
    cell: key => (key.expires_at ? timeElement(key.expires_at) : 'never'),
  },
  {
    head: 'Last change',
    value: key => lastOf(key).at,
    cell: key => [`${lastOf(key).change} `, timeElement(lastOf(key).at), h('span', { class: 'muted' }, byOf(key))],
  },
  {
    head: 'Change',
    value: () => null,
    cell: key =>
      key.state === 'usable'
        ? h(
            'span',
            { class: 'line' },
            h(
              'button',
              { type: 'button', 'data-rotate': key.id, onclick: () => confirmRotate(key, onChange) },
              'Rotate…',
            ),
            h(
              'button',
              { type: 'button', 'data-revoke': key.id, onclick: () => confirmRevoke(key, onChange) },
              'Revoke…',
            ),
          )
        : '',
  },
];

/** @param {ApiKey} key */
function adsOf({ ad_id_prefix, tenant }) {
  if (tenant) return `${tenant.id}: ${tenant.ad_id_prefixes.map(prefix => `${prefix}…`).join(', ')}`;
  return ad_id_prefix ? `${ad_id_prefix}…` : 'all';
}

/** @param {ApiKey} key */
function lastOf({ changes }) {
  const last = changes.at(-1);
  if (last === undefined) throw new Error('A key has no change, not even its beginning.');
  return last;
}

/** @param {ApiKey} key */
function byOf(key) {
  const { by, from } = lastOf(key);
  return ` by ${by}${from === null ? '' : ` from ${from}`}`;
}

/** @param {() => void} onMade */
function createForm(onMade) {
  const label = h('input', { name: 'label', required: true, maxlength: '100', autocomplete: 'off' });
  const boxes = scopes.map(([scope, text]) => ({
    scope,
    box: h('input', { type: 'checkbox', name: 'scope', value: scope, onchange: offerPrefix }),
    text,
  }));
  const lasts = h('select', { name: 'lasts' }, ...lifetimes.map(([days, text]) => h('option', { value: days }, text)));
  const prefix = h('input', { name: 'prefix', maxlength: '128', autocomplete: 'off', spellcheck: 'false' });
  const prefixField = h('label', { class: 'field', hidden: true }, 'Only ads that begin with', prefix);
  const region = createRegionField();
  const message = h('div', { role: 'status' });
  const chosen = () => boxes.filter(({ box }) => box.checked).map(({ scope }) => scope);
  /** The API takes a prefix only with that scope alone. */
  function offerPrefix() {
    prefixField.hidden = chosen().join() !== 'ingest';
    if (prefixField.hidden) prefix.value = '';
  }
  const form = h(
    'form',
    { class: 'new-key', novalidate: true, onsubmit: submit },
    h('label', { class: 'field' }, 'Label', label),
    h(
      'fieldset',
      {},
      h('legend', {}, 'Scopes'),
      boxes.map(({ scope, box, text }) =>
        h('label', {}, box, h('b', {}, scope), h('span', { class: 'muted' }, ` ${text}`)),
      ),
    ),
    h('label', { class: 'field' }, 'Valid', lasts),
    [prefixField, region.element],
    h('button', { class: 'main' }, 'Create'),
    message,
  );
  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    message.replaceChildren();
    const days = Number(lasts.value);
    try {
      const { api_key, label: made } = await post('/v1/keys', {
        label: label.value,
        scopes: chosen(),
        ...(days > 0 && { expires_at: new Date(serverTime() + days * 86_400_000).toISOString() }),
        ...(prefix.value && { ad_id_prefix: prefix.value }),
        ...(region.input.value && { region: region.input.value }),
      });
      form.reset();
      offerPrefix();
      showSecret(made, api_key);
      onMade();
    } catch (error) {
      message.replaceChildren(h('p', { class: 'notice bad', role: 'alert' }, messageOf(error)));
    }
  }
  const card = createCard({ title: 'New key', note: 'is shown once, and known everywhere within two seconds' });
  card.body.append(form);
  return card.element;
}

function createRegionField() {
  const input = h('input', { name: 'region', maxlength: '32', autocomplete: 'off', spellcheck: 'false' });
  const { region } = currentSession();
  const here = region ? `This service is in region ${region}.` : 'This service is in none, so it would refuse the key.';
  const hint = h('span', { class: 'muted' }, ` Empty: in all. ${here}`);
  return { input, element: h('label', { class: 'field' }, 'Only in region', input, hint) };
}

/** @type {readonly (readonly [Scope, string])[]} */
const scopes = [
  ['ingest', 'post clicks'],
  ['read', 'counts, and this dashboard'],
  ['read:personal', 'also what is about persons'],
  ['operate', 'start and end jobs'],
  ['admin', 'everything, keys as well'],
];

const lifetimes = /** @type {const} */ ([
  [0, 'until it is revoked'],
  [30, 'for 30 days'],
  [90, 'for 90 days'],
  [365, 'for a year'],
]);
