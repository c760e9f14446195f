// The connection: the newest state (pushed once a second) and the history (asked for after it).
//
// While the tab is hidden nothing is connected, so a forgotten tab costs the server nothing. When
// the stream breaks, the browser tries again by itself; when it is refused (too many viewers), the
// state is asked for every few seconds instead.

import { History } from './history.js';

const POLL_MS = 5000;
const COARSE_MS = 10_000;
const SILENT_MS = 10_000; // ten states that did not come

export const history = new History();

/** What is known of the connection; `since` is when the last state came, by this page's clock. */
export const connection = { link: 'connecting', since: null, why: '', state: null };

const listeners = new Set();
let events = null;
let poll = null;
let openedAt = 0;
let coarseAt = 0;
let asking = false;

/** Calls back with what changed: 'state', 'history' or 'link'. Gives back how to stop. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(what) {
  for (const listener of listeners) listener(what);
}

/** JSON from below /console/. The error's text is what the server said, or that nobody answered. */
export async function ask(path, signal) {
  let answer;
  try {
    answer = await fetch(path, { headers: { accept: 'application/json' }, cache: 'no-store', signal });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The server does not answer.');
  }
  if (!answer.ok) {
    const text = (await answer.text()).trim().slice(0, 300);
    const failure = new Error(text || `The server answered ${answer.status}.`);
    failure.status = answer.status;
    throw failure;
  }
  return answer.json();
}

function arrived(state) {
  const restarted = connection.state && state.uptime_s < connection.state.uptime_s - 1;
  // Or its clock was set back.
  const ahead = Math.max(history.fine.newest(), history.coarse.newest()) > state.unix_ms / 1000 + 5;
  if (restarted || ahead) {
    history.clear();
    coarseAt = 0;
  }
  connection.state = state;
  connection.since = Date.now();
  setLink('live');
  tell('state');
  askHistory();
}

function setLink(link, why = '') {
  if (connection.link === link && connection.why === why) return;
  connection.link = link;
  connection.why = why;
  tell('link');
}

// Only what is new is asked for: a point a second of the fine range, one in ten of the coarse.
async function askHistory() {
  if (asking) return;
  asking = true;
  try {
    if (Date.now() - coarseAt >= COARSE_MS) {
      history.merge(await ask(`api/history?range=coarse&since=${history.coarse.newest()}`));
      coarseAt = Date.now();
    }
    history.merge(await ask(`api/history?range=fine&since=${history.fine.newest()}`));
    tell('history');
  } catch {
    // The state's own stream says that the connection is lost; the points come with the next one.
  } finally {
    asking = false;
  }
}

function open() {
  close();
  openedAt = Date.now();
  events = new EventSource('events');
  events.addEventListener('state', (event) => arrived(JSON.parse(event.data)));
  events.addEventListener('error', () => {
    setLink('lost');
    // CLOSED: an answer that is not a stream. The browser gives up, this page does not.
    if (events?.readyState === EventSource.CLOSED) startPolling();
  });
}

function startPolling() {
  events?.close();
  events = null;
  clearTimeout(poll);
  const mine = setTimeout(
    async () => {
      let refused = '';
      try {
        const answer = await fetch('events', { headers: { accept: 'text/event-stream' }, cache: 'no-store' });
        if (answer.ok) {
          await answer.body?.cancel();
          if (poll === mine) open();
          return;
        }
        refused = (await answer.text()).trim().slice(0, 300);
        arrived(await ask('api/state'));
        setLink('polling', refused);
      } catch (error) {
        setLink('lost', refused || error.message);
      }
      // Unless the tab was hidden meanwhile.
      if (poll === mine) startPolling();
    },
    connection.link === 'polling' ? POLL_MS : 2000,
  );
  poll = mine;
}

function close() {
  clearTimeout(poll);
  poll = null;
  events?.close();
  events = null;
}

// A connection may be dead without a word: after a sleep, behind a proxy.
function watch() {
  if (events && Date.now() - Math.max(openedAt, connection.since ?? 0) > SILENT_MS) {
    setLink('lost');
    open();
  }
  // Not connected is worth saying again each second, with how long.
  if (connection.link !== 'live') tell('link');
}

/** Connects, and stays so for as long as the page is visible. */
export function start() {
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));
  addEventListener('pagehide', close);
  setInterval(watch, 1000);
  if (!document.hidden) open();
}
