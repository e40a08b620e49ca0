/** Elements from calls: `h('td', { class: 'num' }, 'text')`. Text is always text, never markup. */
export function h(name, given = {}, ...children) {
  return filled(document.createElement(name), given, children);
}

/** The same for SVG. */
export function svg(name, given = {}, ...children) {
  return filled(document.createElementNS('http://www.w3.org/2000/svg', name), given, children);
}

/** Replaces text only where it differs, so that nothing is laid out anew for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function filled(element, given, children) {
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === false || value === null) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter(child => child !== undefined && child !== null && child !== false));
  return element;
}
