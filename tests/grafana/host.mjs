// Serves the page that draws a board, and opens it in a real browser.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { here, load, modules } from './parts.mjs';
import { SCRAPE } from './servers.mjs';

/** The page's script and style, of this folder's sources and the installed packages. */
export async function bundle() {
  const { outputFiles } = await load('esbuild').build({
    entryPoints: [join(here, 'page', 'main.tsx')],
    nodePaths: [modules],
    bundle: true,
    write: false,
    outdir: '/',
    format: 'iife',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
    loader: { '.svg': 'dataurl', '.ttf': 'empty' },
    logLevel: 'error',
  });
  const of = (end) => outputFiles.find(({ path }) => path.endsWith(end)).contents;
  return { '/main.js': of('.js'), '/main.css': of('.css') };
}

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json', '.woff2': 'font/woff2' };
const PAGE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><link rel="stylesheet" href="/main.css"><body><script src="/main.js"></script>';

export class Host {
  #server;
  #browser;
  #boards;

  /** `boards` by their names, of which the caller may change the content. */
  static async start(boards) {
    const host = new Host();
    host.#boards = boards;
    const files = await bundle();
    host.#server = createServer((request, answer) => {
      const { pathname } = new URL(request.url, 'http://localhost');
      const body = content(pathname, files, boards);
      answer.writeHead(body === undefined ? 404 : 200, {
        'Content-Type': TYPES[extname(pathname)] ?? 'text/html; charset=utf-8',
      });
      answer.end(body);
    });
    await new Promise((done) => host.#server.listen(0, '127.0.0.1', done));
    host.#browser = await load('playwright-core').chromium.launch({
      executablePath: chromium(),
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    return host;
  }

  /** The page with the board drawn, and what its console said. */
  async open(board, prometheus, from, to) {
    // As high as the board: what is below a window's edge is not drawn.
    const bottom = Math.max(...this.#boards[board].panels.map(({ gridPos }) => gridPos.y + gridPos.h));
    const page = await this.#browser.newPage({ viewport: { width: 1440, height: bottom * 38 + 8 } });
    const said = [];
    page.on('pageerror', (error) => said.push(`${error}`));
    page.on('console', (line) => line.type() === 'error' && said.push(`${line.text()} ${line.location().url}`));
    const query = new URLSearchParams({ board, prometheus, scrape: SCRAPE, from, to });
    await page.goto(`http://127.0.0.1:${this.#server.address().port}/?${query}`);
    await page.waitForFunction(() => window.seen ?? window.failed, undefined, { timeout: 60_000 });
    const failed = await page.evaluate(() => window.failed);
    if (failed) throw new Error(`the page of ${board}: ${failed}`);
    // The icons are there, too.
    await page.waitForLoadState('networkidle');
    return { page, said };
  }

  async stop() {
    await this.#browser?.close();
    this.#server?.close();
    this.#server?.closeAllConnections();
  }
}

function content(path, files, boards) {
  if (path === '/') return PAGE;
  if (files[path]) return files[path];
  const board = /^\/boards\/(\w+)\.json$/.exec(path)?.[1];
  if (board) return boards[board] && JSON.stringify(boards[board]);
  // The fonts that Grafana's server has.
  const weight = /^\/public\/fonts\/inter\/Inter-(Regular|Medium)\.woff2$/.exec(path)?.[1];
  if (weight) return readFileSync(join(modules, '@fontsource', 'inter', 'files', `inter-latin-${weight === 'Medium' ? 500 : 400}-normal.woff2`));
  // Icons, which Grafana's components fetch as they need them.
  const file = join(modules, '@grafana', 'ui', 'dist', normalize(path).replace('/build/', '/'));
  return path.startsWith('/public/') && existsSync(file) ? readFileSync(file) : undefined;
}

/** The browser of this machine: playwright's own is never fetched. */
export function chromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {
      // The next one.
    }
  }
  return undefined;
}
