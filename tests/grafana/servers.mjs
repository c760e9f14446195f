// The demo and a Prometheus that scrapes it, each on a port of its own, ended by their ids.
import { spawn } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Seconds between two scrapes. */
export const SCRAPE = 2;

export class Servers {
  #folder;
  #children = new Map();

  constructor(folder) {
    this.#folder = folder;
  }

  #start(name, command, words) {
    const log = openSync(join(this.#folder, `${name}.out`), 'w');
    const child = spawn(command, words, { cwd: this.#folder, stdio: ['ignore', log, log] });
    child.on('error', (error) => (child.refused = error));
    this.#children.set(name, child);
    return child;
  }

  #said(name) {
    return readFileSync(join(this.#folder, `${name}.out`), 'utf8');
  }

  /** The first true value of `condition`, or an error with what the server said. */
  async wait(name, what, seconds, condition) {
    const child = this.#children.get(name);
    const deadline = Date.now() + seconds * 1000;
    for (let last; ; await sleep(100)) {
      if (child.refused) throw child.refused;
      if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}: ${this.#said(name)}`);
      try {
        last = await condition();
        if (last) return last;
      } catch (error) {
        last = error;
      }
      if (Date.now() > deadline) throw new Error(`${name}: ${what}: not in ${seconds} s; last: ${last}`);
    }
  }

  /** With its log and its traces, since their losses are drawn. The address of /metrics. */
  async demo(binary) {
    const addresses = ['--mcp', '127.0.0.1:0', '--metrics', '127.0.0.1:0'];
    const files = ['--log-file', 'demo.log', '--trace-file', 'traces.jsonl'];
    this.#start('demo', binary, ['demo', ...addresses, ...files, '--seed', '7']);
    return this.wait('demo', 'its line of metrics', 30, () => /metrics: http:\/\/(\S+?)\/metrics/.exec(this.#said('demo'))?.[1]);
  }

  /** Its address, when it answers. */
  async prometheus(target) {
    const file = join(this.#folder, 'prometheus.yml');
    const job = `{ job_name: mcp, static_configs: [{ targets: ["${target}"] }] }`;
    writeFileSync(file, `global: { scrape_interval: ${SCRAPE}s }\nscrape_configs:\n  - ${job}\n`);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    this.#start('prometheus', 'prometheus', [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(this.#folder, 'tsdb')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--enable-feature=exemplar-storage',
      '--log.level=warn',
    ]);
    await this.wait('prometheus', 'ready', 30, async () => (await fetch(`${url}/-/ready`)).ok);
    return url;
  }

  /** The unix time of the last scrape, when there were so many. */
  scraped(url, scrapes) {
    const ask = async (query) => {
      const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query })}`);
      return Number((await answer.json()).data.result[0]?.value[1] ?? 0);
    };
    return this.wait('prometheus', `${scrapes} scrapes`, scrapes * SCRAPE + 30, async () => {
      const count = await ask('sum_over_time(up{job="mcp"}[1h])');
      return count >= scrapes && ask('timestamp(up{job="mcp"})');
    });
  }

  async stop() {
    for (const child of this.#children.values()) {
      if (child.exitCode !== null || child.refused) continue;
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      const late = sleep(15_000, 'late', { ref: false });
      if ((await Promise.race([ended, late])) === 'late') child.kill('SIGKILL');
    }
  }
}

function freePort() {
  return new Promise((done, failed) => {
    const probe = createServer();
    probe.once('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}
