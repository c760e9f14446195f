// Where we are, in the fragment: #/view/argument?filter=value. Links are plain links.

/** {view, arg, query} of the fragment. */
export function place() {
  const fragment = location.hash.startsWith('#/') ? location.hash.slice(2) : '';
  const cut = fragment.indexOf('?');
  const path = cut < 0 ? fragment : fragment.slice(0, cut);
  const query = Object.fromEntries(new URLSearchParams(cut < 0 ? '' : fragment.slice(cut + 1)));
  const [view, ...rest] = path.split('/');
  return { view: view || 'overview', arg: decoded(rest.join('/')), query };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % in a link that was typed by hand
  }
}

/** The link to a view. Empty filters are left out. */
export function link(view, arg = '', query = {}) {
  const filters = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const path = arg ? `${view}/${encodeURIComponent(arg)}` : view;
  return `#/${path}${filters.size ? `?${filters}` : ''}`;
}

/** Changes the filters in the address without a step in the browser's history. */
export function replace(view, arg, query) {
  history.replaceState(null, '', link(view, arg, query));
}
