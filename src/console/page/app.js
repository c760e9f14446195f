// The console's page. Plain ES modules, served as they stand in this folder: no build, no framework,
// nothing from elsewhere. To change it, change a file and reload.
//
//   index.html    the frame: header, place of the view, dialog of the keys
//   app.js        this: which view is open, the header, the keys
//   live.js       the connection: state once a second by server-sent events, history after it
//   history.js    the history's columns; what a chart of the last minutes draws
//   router.js     #/view/argument?filter=value
//   theme.js      dark and light; colours for what is drawn on a canvas
//   dom.js        elements from data: text only, never markup
//   format.js     numbers as text
//   charts.js heatmap.js marks.js spark.js    what is drawn; uPlot is in vendor/
//   table.js      sortable tables, brought up to date in place
//   logline.js    a log line as a row that opens; waterfall.js  the spans of a trace
//   tile.js       a big number; range.js  five minutes or an hour; rules.js  the key rules
//   request_columns.js   what tables of requests have in common
//   agents_tables.js   the tables of agents & tasks
//   view_*.js     a view each: export open(shell, arg, query) → { element, ... }
//
// A view is built once when it is opened, at its full size, and then only its texts change. What it
// may give, besides its element: title, state(state), history(history), range(), query(query),
// follow(), filter (an input for the key /), back (a link for Esc), close().
//
// Numbers come from the server and are only formatted here. Those that /metrics has as well carry
// data-metric, and the test compares them. All names and texts come from the server's clients, so
// they are put in as text; the content security policy forbids the rest.

import { h, put, attr, show } from './dom.js';
import { span } from './format.js';
import { connection, history, listen, start } from './live.js';
import { place, link } from './router.js';
import { theme, toggleTheme, onTheme } from './theme.js';
import { currentRange, setRange, onRange } from './range.js';
import * as overview from './view_overview.js';
import * as tools from './view_tools.js';
import * as agents from './view_agents.js';
import * as logs from './view_logs.js';
import * as traces from './view_traces.js';
import * as cardinality from './view_cardinality.js';
import * as engine from './view_engine.js';

const VIEWS = [
  ['overview', 'Overview', overview],
  ['tools', 'Tools', tools],
  ['agents', 'Agents & tasks', agents],
  ['logs', 'Logs', logs],
  ['traces', 'Traces', traces],
  ['cardinality', 'Cardinality', cardinality],
  ['engine', 'Engine', engine],
];

const KEYS = [
  ['1 … 7', 'a view'],
  ['/', 'to the filter'],
  ['f', 'follow, or hold still'],
  ['r', 'five minutes, or an hour'],
  ['t', 'dark or light'],
  ['Esc', 'close, or back to the list'],
  ['?', 'these keys'],
];

const byId = (id) => document.getElementById(id);
const main = byId('main');
const tabs = new Map();
let view = null;
let at = null;

// The frame of the page.

function buildHeader() {
  const list = VIEWS.map(([name, title], i) => {
    const tab = h('a', { href: link(name), 'aria-keyshortcuts': String(i + 1) }, title);
    tabs.set(name, tab);
    return h('li', null, tab);
  });
  byId('nav').append(h('ul', null, list));
  byId('theme').addEventListener('click', toggleTheme);
  byId('help').addEventListener('click', showKeys);
  byId('keys').append(
    h('h2', { id: 'keys-title' }, 'Keys'),
    h(
      'dl',
      { class: 'keys' },
      KEYS.flatMap(([key, what]) => [h('dt', null, h('kbd', null, key)), h('dd', null, what)]),
    ),
    h('button', { type: 'button', on: { click: () => byId('keys').close() } }, 'Close'),
  );
  const label = () => {
    const other = theme() === 'dark' ? 'light' : 'dark';
    put(byId('theme'), other);
    attr(byId('theme'), 'aria-label', `Change to the ${other} theme`);
  };
  onTheme(label);
  label();
}

function showKeys() {
  const dialog = byId('keys');
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

// Which view is open.

function route() {
  const next = place();
  const found = VIEWS.find(([name]) => name === next.view);
  if (!found) {
    location.replace(link('overview'));
    return;
  }
  const [name, title, module] = found;
  if (view?.query && at.view === next.view && at.arg === next.arg) {
    at = next;
    view.query(next.query);
    return;
  }
  const first = at === null;
  view?.close?.();
  at = next;
  view = module.open(shell, next.arg, next.query);
  main.replaceChildren(view.element);
  document.title = `${view.title ?? title} · ${connection.state?.service?.name ?? 'mcp-vitals'}`;
  for (const [one, tab] of tabs) attr(tab, 'aria-current', one === name ? 'page' : null);
  tabs.get(name).scrollIntoView({ block: 'nearest', inline: 'nearest' });
  if (connection.state) view.state?.(connection.state);
  if (connection.state) view.history?.(history);
  if (!first) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

/** What a view may use of the page around it. */
const shell = {
  range: () => currentRange(),
  rule: (name) => connection.state.rules.find((rule) => rule.name === name),
  go: (where) => (location.hash = where),
  title: (text) => (document.title = `${text} · ${connection.state?.service?.name ?? 'mcp-vitals'}`),
};

// How well connected we are.

let spoken = '';

function say(text) {
  if (text === spoken) return;
  spoken = text;
  put(byId('say'), text);
}

function showLink() {
  const { link: how, since, why } = connection;
  const away = since === null ? null : Math.round((Date.now() - since) / 1000);
  const lost = how === 'lost';
  attr(byId('link'), 'data-link', how);
  put(
    byId('link-text'),
    { live: 'live', polling: 'every 5 s', lost: 'not connected', connecting: 'connecting' }[how],
  );
  attr(byId('link'), 'title', why || null);
  document.body.classList.toggle('is-stale', lost);
  show(byId('stale'), lost || how === 'polling');
  if (lost) {
    const text =
      away === null
        ? 'Not connected: the server does not answer. Trying again.'
        : `Not connected for ${span(away)}. What is shown is from then. Trying again.`;
    put(byId('stale'), why && why !== 'The server does not answer.' ? `${text} ${why}` : text);
    say('Not connected. What is shown is old.');
  } else if (how === 'polling') {
    put(byId('stale'), `${why} Until then this page asks every 5 s.`);
  } else if (how === 'live') {
    say(spoken ? 'Connected again.' : '');
  }
}

function showState() {
  const { state } = connection;
  put(byId('service'), state.service?.name || 'mcp-vitals');
  put(byId('version'), [state.service?.version, `up ${span(state.uptime_s)}`].filter(Boolean).join(' · '));
  view?.state?.(state);
}

// Keys.

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.('input, select, textarea');
  if (event.key === 'Escape') {
    if (byId('keys').open) return; // the dialog closes itself
    if (typing) typing.blur();
    else if (view?.back) shell.go(view.back);
    return;
  }
  if (typing) return;
  const number = Number(event.key);
  if (number >= 1 && number <= VIEWS.length) shell.go(link(VIEWS[number - 1][0]));
  else if (event.key === '/' && view?.filter) view.filter.focus();
  else if (event.key === '?') showKeys();
  else if (event.key === 't') toggleTheme();
  else if (event.key === 'r') setRange(currentRange().name === 'fine' ? 'coarse' : 'fine');
  else if (event.key === 'f' && view?.follow) view.follow();
  else return;
  event.preventDefault();
}

buildHeader();
addEventListener('hashchange', route);
addEventListener('keydown', key);
onTheme(() => view?.history?.(history));
onRange(() => view?.history?.(history));
listen((what) => {
  if (what === 'state') showState();
  if (what === 'history') view?.history?.(history);
  if (what === 'link') showLink();
});
route();
showLink();
start();
