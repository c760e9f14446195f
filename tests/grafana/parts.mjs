// Where things are: this repository, and the node folder that scripts/install-parts.sh makes.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));
export const root = join(here, '..', '..');
export const parts = join(process.env.MCP_VITALS_PARTS ?? join(root, 'target', 'parts'), 'grafana');
export const modules = join(parts, 'node_modules');

/** A package of that folder. */
export const load = createRequire(join(parts, 'package.json'));

export const BOARDS = ['overview', 'agents', 'neural', 'system', 'auth', 'engine'];

/** What is not installed. */
export function missing() {
  return ['@grafana/ui', '@grafana/schema', 'esbuild', 'typescript', 'playwright-core']
    .filter((name) => !existsSync(join(modules, name, 'package.json')))
    .map((name) => `npm package ${name}`);
}
