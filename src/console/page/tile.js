// A big number: what it is, the number and its unit, a line below it, and where it has been.

import { h, put } from './dom.js';
import { spark } from './spark.js';

/** `part` writes a value as [number, unit]. */
export function tile({ label, part, tone = '', sparkOptions = {}, href }) {
  const number = h('span', { class: 'tile-number' }, '–');
  const unit = h('span', { class: 'tile-unit' });
  const below = h('p', { class: 'tile-below' }, '\u00a0');
  const line = spark(tone);
  const name = href ? h('a', { href }, label) : label;
  const element = h(
    'div',
    { class: 'tile' },
    h('h2', { class: 'tile-label' }, name),
    h('p', { class: 'tile-value' }, number, unit),
    below,
    line.element,
  );
  return {
    element,
    number,
    below,
    /** A percentile of a second in which nothing ended is null: the last one stays, greyed. */
    set(value) {
      const known = value !== null && value !== undefined;
      element.classList.toggle('is-old', !known && number.textContent !== '–');
      if (!known && number.textContent !== '–') return;
      const [text, its] = part(value);
      put(number, text);
      put(unit, its);
    },
    draw: (values) => line.draw(values, sparkOptions),
  };
}
