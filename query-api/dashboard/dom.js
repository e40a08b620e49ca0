/**
 * Makes elements by function calls: `h('td', { class: 'num' }, 'text')`. A text is always shown as text, never read as markup.
 * What nobody would see of it is shown as its code, because anybody may put it into an id or a label.
 */

/**
 * The value of an attribute. False, null and undefined leave the attribute out; true sets it without a value.
 * @typedef {string | number | boolean | null | undefined} AttributeValue
 *
 * @typedef {'autocomplete' | 'autofocus' | 'class' | 'd' | 'datetime' | 'disabled' | 'download' | 'hidden' | 'href' | 'id'
 *   | 'label' | 'max' | 'maxlength' | 'name' | 'novalidate' | 'placeholder' | 'popover' | 'popovertarget'
 *   | 'preserveAspectRatio' | 'required' | 'role' | 'scope' | 'spellcheck' | 'tabindex' | 'title' | 'type' | 'value'
 *   | 'viewBox' | `aria-${string}` | `data-${string}`} AttributeName
 *
 * @typedef {{ readonly [N in AttributeName]?: AttributeValue }} Attributes
 *
 * @typedef {Node | string | false | null | undefined} Child
 */

/**
 * Listeners, each by `on` and the name of its event.
 * @template {Element} E
 * @typedef {{ readonly [N in keyof HTMLElementEventMap as `on${N}`]?:
 *   (event: HTMLElementEventMap[N] & { readonly currentTarget: E }) => unknown }} Listeners
 */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes & Listeners<HTMLElementTagNameMap[Name]>} [given]
 * @param {...(Child | readonly Child[])} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function h(name, given = {}, ...children) {
  return filled(document.createElement(name), given, children);
}

/**
 * Makes an SVG element in the same way.
 *
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} [given]
 * @param {...(Child | readonly Child[])} children
 * @returns {SVGElementTagNameMap[Name]}
 */
export function svg(name, given = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', name), given, children);
}

/**
 * Shows the codes of characters that have no width, and of those that turn the order of all that follows: by them one id looks
 * like another. Joiners between letters that are joined stay, and so do the marks of direction that `Intl` writes.
 * @param {string} text
 */
export function visible(text) {
  return text.replaceAll(unseen, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const unseen =
  /[\p{Cc}\u200b\u2060-\u2064\u2066-\u2069\u202a-\u202e\ufeff\u00ad](?<![\t\n])|[\u200c\u200d](?=[ -~]|$)|(?<=[ -~]|^)[\u200c\u200d]/gu;

/** An element that index.html always has. @param {string} id */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`The page has no element with the id ${id}.`);
  return element;
}

/**
 * Replaces a text only if it differs, so that the browser does not lay out the page again without need.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {object} given
 * @param {readonly (Child | readonly Child[])[]} children
 */
function filled(element, given, children) {
  /** @type {[string, AttributeValue | EventListener][]} */
  const entries = Object.entries(given);
  for (const [key, value] of entries) {
    if (value === undefined || value === false || value === null) continue;
    if (typeof value === 'function') element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  for (const child of children.flat()) {
    if (child !== undefined && child !== null && child !== false)
      element.append(typeof child === 'string' ? visible(child) : child);
  }
  return element;
}
