// Elements without a framework. Data becomes text here and nowhere else: by textContent and
// setAttribute, never as markup. What a client of the server named itself cannot become code.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') {
      for (const [event, call] of Object.entries(value)) element.addEventListener(event, call);
    } else if (name === 'class') {
      element.setAttribute('class', value);
    } else {
      element.setAttribute(name, value === true ? '' : value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element: h('a', { href: '#/logs', on: { click } }, 'text', child). */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Sets the text, and touches the document only if it is another. */
export function put(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Sets an attribute if it is another; takes it away for null. */
export function attr(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

/** Shows or hides. */
export function show(element, yes) {
  if (element.hidden === yes) element.hidden = !yes;
}

const escaped = (value) => String(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');

/** The selector of a metric: name{label="value",...}. */
export function selector(name, labels = {}) {
  const list = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`);
  return list.length ? `${name}{${list.join(',')}}` : name;
}

/**
 * Shows a number that /metrics has too: the sum of the samples that the selector matches.
 * The selector and the raw value stand beside it, and the test compares them.
 */
export function metric(element, text, value, name, labels) {
  put(element, text);
  const known = value !== null && value !== undefined;
  attr(element, 'data-metric', known ? selector(name, labels) : null);
  attr(element, 'data-value', known ? value : null);
}

/** A link to a trace, by its id; a short text that says the same to the eye. */
export function traceLink(id, text = id.slice(0, 8)) {
  return h('a', { href: `#/traces/${encodeURIComponent(id)}`, class: 'id', title: `Trace ${id}` }, text);
}

/** What a view says when there is nothing to show, and what to switch on. */
export function empty(title, ...how) {
  return h(
    'div',
    { class: 'empty' },
    h('p', { class: 'empty-title' }, title),
    ...how.map((line) => (typeof line === 'string' ? h('p', null, line) : line)),
  );
}

/** A line of code in an empty state. */
export function code(text) {
  return h('pre', { class: 'code' }, h('code', null, text));
}

/** A bar that shows a share of 0 to 1. The number itself stands beside it. */
export function bar(name = '') {
  const filled = h('i');
  const element = h('span', { class: `share ${name}`, 'aria-hidden': 'true' }, filled);
  return {
    element,
    set(share) {
      const width = `${(Math.min(1, Math.max(0, share || 0)) * 100).toFixed(1)}%`;
      // By CSSOM: the content security policy forbids style="" in markup.
      if (filled.style.width !== width) filled.style.width = width;
    },
  };
}
