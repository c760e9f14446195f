// The dashboards as constants of Grafana's types, checked by its compiler's strictest setting.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BOARDS, here, load, parts, root } from './parts.mjs';

/** What tsc says of `models`, by name; nothing is good. */
export function typeProblems(models) {
  const folder = emptied('types');
  cpSync(join(here, 'model.ts'), join(folder, 'model.ts'));
  return ofType(folder, models, "import type { Board } from './model';");
}

/** The releases whose dashboards ours are, too: the last of each that Grafana's schema was put out for. */
export const OLDER = ['10', '11', '12'];

/** The same against the dashboard of an older release, which leaves the options of a panel open. */
export function olderProblems(models, release) {
  const json = 'type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;';
  const type = `import type { Dashboard } from 'grafana-schema-${release}';\n${json}\ntype Board = Json<Dashboard>;`;
  return ofType(emptied(`types-${release}`), models, type);
}

/** A folder beside node_modules, where the compiler looks for packages. */
function emptied(name) {
  const folder = join(parts, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

function ofType(folder, models, type) {
  const files = Object.entries(models).map(([name, model]) => {
    const file = join(folder, `${name}.ts`);
    writeFileSync(file, `${type}\nexport const board: Board = ${JSON.stringify(model, null, 2)};\n`);
    return file;
  });
  return compiled(folder, files);
}

/** What tsc says of the page that draws them. */
export function pageProblems() {
  const folder = emptied('page-types');
  cpSync(join(here, 'model.ts'), join(folder, 'model.ts'));
  cpSync(join(here, 'page'), join(folder, 'page'), { recursive: true });
  writeFileSync(join(folder, 'css.d.ts'), "declare module '*.css';\n");
  return compiled(folder, [join(folder, 'page', 'main.tsx'), join(folder, 'css.d.ts')]);
}

function compiled(folder, files) {
  const ts = load('typescript');
  const program = ts.createProgram(files, {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
    jsx: ts.JsxEmit.ReactJSX,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  });
  return ts.getPreEmitDiagnostics(program).map((one) => {
    const text = ts.flattenDiagnosticMessageText(one.messageText, '\n');
    const at = one.file?.getLineAndCharacterOfPosition(one.start ?? 0);
    return `${one.file?.fileName.slice(folder.length + 1) ?? ''}:${(at?.line ?? 0) + 1}: ${text}`;
  });
}

export const readBoard = (name) =>
  JSON.parse(readFileSync(join(root, 'dashboards', `${name}.json`), 'utf8'));

export const readBoards = () => Object.fromEntries(BOARDS.map((name) => [name, readBoard(name)]));
