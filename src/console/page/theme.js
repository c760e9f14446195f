// Dark and light: what the system says, unless the viewer has chosen. A module of its own that
// runs before app.js, so that the first frame has the right colours already.

const KEY = 'mcp-vitals-theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set();
let chosen = read();

function read() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'dark' || kept === 'light' ? kept : null;
  } catch {
    return null; // storage is forbidden: the choice lasts as long as the page
  }
}

function apply() {
  document.documentElement.dataset.theme = theme();
  for (const listener of listeners) listener(theme());
}

export function theme() {
  return chosen ?? (system.matches ? 'dark' : 'light');
}

export function toggleTheme() {
  chosen = theme() === 'dark' ? 'light' : 'dark';
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // as above
  }
  apply();
}

/** Calls back after each change; gives back how to stop. */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** A colour of style.css as it is now, for what is drawn on a canvas. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

system.addEventListener('change', apply);
apply();
