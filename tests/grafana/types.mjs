// The dashboards as constants of Grafana's types, checked by its compiler's strictest setting.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BOARDS, here, load, parts, root } from './parts.mjs';

/** What tsc says of `models`, by name; nothing is good. */
export function typeProblems(models) {
  // Beside node_modules, where the compiler looks for packages.
  const folder = join(parts, 'types');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  cpSync(join(here, 'model.ts'), join(folder, 'model.ts'));
  const files = Object.entries(models).map(([name, model]) => {
    const file = join(folder, `${name}.ts`);
    const text = JSON.stringify(model, null, 2);
    writeFileSync(file, `import type { Board } from './model';\nexport const board: Board = ${text};\n`);
    return file;
  });
  return compiled(folder, files);
}

/** What tsc says of the page that draws them. */
export function pageProblems() {
  const folder = join(parts, 'page-types');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
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
