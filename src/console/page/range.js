// How far back the charts go: five minutes by the second, or an hour by ten seconds. One choice for
// all views.

import { h, attr } from './dom.js';

const RANGES = {
  fine: { name: 'fine', label: '5 min', seconds: 300, spoken: 'the last five minutes' },
  coarse: { name: 'coarse', label: '1 h', seconds: 3600, spoken: 'the last hour' },
};

let current = RANGES.fine;
const listeners = new Set();

export function currentRange() {
  return current;
}

export function setRange(name) {
  current = RANGES[name];
  for (const listener of listeners) listener(current);
}

/** Calls back after each change; gives back how to stop. */
export function onRange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Two buttons. `close()` when the view goes. */
export function rangeButtons() {
  const buttons = Object.values(RANGES).map((range) =>
    h(
      'button',
      {
        type: 'button',
        'aria-label': `${range.label}: ${range.spoken}`,
        'data-range': range.name,
        on: { click: () => setRange(range.name) },
      },
      range.label,
    ),
  );
  const press = () =>
    buttons.forEach((button) => attr(button, 'aria-pressed', String(button.dataset.range === current.name)));
  press();
  return {
    element: h('div', { class: 'segmented', role: 'group', 'aria-label': 'Range of the charts' }, buttons),
    close: onRange(press),
  };
}
