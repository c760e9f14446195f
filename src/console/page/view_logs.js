// Logs: recent lines by level, text, logger and trace; new ones follow. Scrolling up holds the list
// still and counts what comes; `f`, the button, or scrolling to the end goes on.

import { h, put, attr, show, empty, code } from './dom.js';
import { count, plural } from './format.js';
import { ask } from './live.js';
import { logLine, LEVELS } from './logline.js';
import { link, replace } from './router.js';

const FIRST = 300; // lines asked for at first
const MOST = 1000; // lines kept in the page
const FIELDS = ['level', 'text', 'logger', 'trace'];
const TYPING_MS = 250;
const AGAIN_MS = 3000; // after the stream was refused

export function open(shell, arg, query) {
  let following = true;
  let waiting = []; // lines that came while the list is held still
  let dropped = 0; // of these, what went past MOST
  let lastSeq = -1; // of the lines that are shown
  let newest = -1; // of those that came
  let lostHere = null; // where the last lines that passed by are counted
  let again = null;
  let stream = null;
  let asked = null;
  let typing = null;
  let frame = null;
  let wasHidden = false;
  let lostLines = 0;

  const level = h(
    'select',
    { 'aria-label': 'Least severe level shown', on: { change: filtered } },
    h('option', { value: '' }, 'all levels'),
    LEVELS.slice(0, 4).map((name) =>
      h('option', { value: name }, name === 'error' ? 'error' : `${name} and worse`),
    ),
  );
  const input = (name, placeholder, label) =>
    h('input', {
      type: 'search',
      name,
      placeholder,
      'aria-label': label,
      autocomplete: 'off',
      spellcheck: 'false',
      on: { input: typed },
    });
  const inputs = {
    level,
    text: input('text', 'text', 'Text that a line contains'),
    logger: input('logger', 'logger', 'Logger'),
    trace: input('trace', 'trace id', 'Trace id'),
  };
  const follow = h('button', { type: 'button', class: 'follow', on: { click: toggle } });
  const status = h('span', { class: 'dim log-status' });
  const list = h('div', {
    class: 'lines',
    tabindex: '0',
    role: 'log',
    'aria-label': 'Log lines, the newest last',
    'aria-live': 'off',
    on: { scroll },
  });
  const nothing = h('div', { class: 'lines-empty' }, 'Loading…');
  const element = h(
    'div',
    { class: 'view view-logs' },
    h(
      'div',
      { class: 'view-head' },
      h('h1', null, 'Logs'),
      h('div', { class: 'filters', role: 'search', 'aria-label': 'Filter log lines' }, Object.values(inputs)),
      follow,
      status,
    ),
    h('div', { class: 'lines-frame' }, list, nothing),
  );

  function filters() {
    return Object.fromEntries(FIELDS.map((name) => [name, inputs[name].value.trim()]));
  }

  function typed() {
    clearTimeout(typing);
    typing = setTimeout(filtered, TYPING_MS);
  }

  function filtered() {
    clearTimeout(typing);
    replace('logs', '', filters());
    load();
  }

  // Half an id finds nothing, and the server would say so: it is marked, and not yet asked for.
  function search() {
    const { trace, ...others } = filters();
    const whole = /^[0-9a-f]{32}$/i.test(trace);
    attr(inputs.trace, 'aria-invalid', trace && !whole ? 'true' : null);
    const wanted = { ...others, trace: whole ? trace : '' };
    return new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  }

  // The newest lines, and then those after them as they come. What comes twice, after a stream was
  // broken, is told by its number.
  async function load() {
    close();
    const wanted = search();
    lastSeq = newest = -1;
    lostHere = null;
    waiting = [];
    dropped = 0;
    asked = new AbortController();
    try {
      const answer = await ask(`api/logs?${wanted}${wanted.size ? '&' : ''}limit=${FIRST}`, asked.signal);
      list.replaceChildren();
      lostLines = answer.lost ?? 0;
      if (!answer.on) return off();
      append(answer.lines);
      newest = answer.last ?? lastSeq;
      connect(wanted);
      explain();
      setFollowing(true);
    } catch (error) {
      if (error.name === 'AbortError') return;
      list.replaceChildren();
      nothing.replaceChildren(empty('The lines could not be loaded.', error.message));
      show(nothing, true);
    }
  }

  function connect(wanted) {
    if (newest >= 0) wanted.set('after', newest);
    stream = new EventSource(`logs/events?${wanted}`);
    stream.addEventListener('line', (event) =>
      take([{ seq: Number(event.lastEventId), line: parsed(event.data) }]),
    );
    stream.addEventListener('lost', (event) => lost(parsed(event.data).lost ?? 0));
    stream.addEventListener('open', explain);
    stream.addEventListener('error', () => {
      // CLOSED: too many follow, say. The browser gives up, this page does not.
      const refused = stream?.readyState === EventSource.CLOSED;
      put(status, refused ? 'New lines are refused, trying again' : 'Not connected, trying again');
      if (refused) again = setTimeout(() => connect(wanted), AGAIN_MS);
    });
  }

  function off() {
    close();
    nothing.replaceChildren(
      empty(
        'Log lines are not shown here.',
        'The console shows what the logs of this engine write. Switch them on in the builder:',
        code('Vitals::builder()\n    .logs(LogConfig::to_memory())\n    .console(true)'),
      ),
    );
    show(nothing, true);
    put(status, 'logs are off');
  }

  function parsed(text) {
    try {
      return JSON.parse(text);
    } catch {
      return { level: 'warn', logger: 'console', message: text }; // shown rather than swallowed
    }
  }

  // Lines arrive one by one, hundreds in a second at times: they are put in once a frame.
  function take(lines) {
    // Numbers that go back are another process's, which begins anew.
    if (lines[0].seq <= newest) lastSeq = -1;
    newest = lines[lines.length - 1].seq;
    waiting.push(...lines);
    if (waiting.length > MOST) {
      dropped += waiting.length - MOST;
      waiting.splice(0, waiting.length - MOST);
    }
    if (!frame) frame = requestAnimationFrame(flush);
  }

  function flush() {
    frame = null;
    if (following) {
      append(waiting.splice(0));
      dropped = 0;
      stick();
    }
    explain();
  }

  function append(lines) {
    const fresh = lines.filter((one) => one.seq > lastSeq);
    if (!fresh.length) return;
    lastSeq = fresh[fresh.length - 1].seq;
    list.append(...fresh.slice(-MOST).map((one) => logLine(one.line)));
    while (list.childElementCount > MOST) list.firstElementChild.remove();
  }

  function lost(n) {
    if (!n) return;
    lostLines += n;
    // One place for those that pass by in a row: where no line is shown between there would be ever more.
    if (!lostHere || list.lastElementChild !== lostHere.place)
      list.append((lostHere = { place: h('p', { class: 'line-lost' }), n: 0 }).place);
    lostHere.n += n;
    put(lostHere.place, `${plural(lostHere.n, 'line')} passed by too quickly to be shown.`);
    if (following) stick();
  }

  function explain() {
    const shown = list.childElementCount;
    put(status, `${plural(shown, 'line')}${lostLines ? `, ${count(lostLines)} passed by` : ''}`);
    const narrowed = FIELDS.some((name) => filters()[name]);
    if (!shown)
      nothing.replaceChildren(
        narrowed
          ? empty(
              'No line matches these filters.',
              'New ones that do appear here.',
              h('p', null, h('a', { href: link('logs') }, 'Show all lines')),
            )
          : empty('No line yet.', 'They appear here as they are written.'),
      );
    show(nothing, shown === 0);
    const held = waiting.length + dropped;
    put(follow, following ? 'Following' : held ? `Paused · ${count(held)} new` : 'Paused');
  }

  function stick() {
    list.scrollTop = list.scrollHeight;
  }

  function setFollowing(yes) {
    following = yes;
    attr(follow, 'aria-pressed', String(yes));
    attr(follow, 'title', yes ? 'Hold the list still (f)' : 'Go on with the newest line (f)');
    if (yes) flush();
    else explain();
  }

  function toggle() {
    setFollowing(!following);
  }

  function scroll() {
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 24;
    if (following && !atEnd) setFollowing(false);
    else if (!following && atEnd && waiting.length) setFollowing(true);
  }

  function close() {
    clearTimeout(again);
    stream?.close();
    stream = null;
    asked?.abort();
    asked = null;
  }

  function set(wanted) {
    for (const name of FIELDS) inputs[name].value = wanted[name] ?? '';
    load();
  }

  function visibility() {
    // A hidden tab follows nothing; when it is looked at again, it loads anew.
    if (document.hidden) {
      wasHidden = stream !== null;
      close();
    } else if (wasHidden) {
      load();
    }
  }

  document.addEventListener('visibilitychange', visibility);
  setFollowing(true);
  set(query);

  return {
    element,
    filter: inputs.text,
    follow: toggle,
    query: set,
    close() {
      document.removeEventListener('visibilitychange', visibility);
      clearTimeout(typing);
      cancelAnimationFrame(frame);
      close();
    },
  };
}
