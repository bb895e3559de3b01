/**
 * TypeScript to what Node 20 runs, with declarations: `deno pack` alone leaves `using` as it is, which Node knows from 24
 * on, and gives no types where an exported one is inferred, as zod's are.
 *
 *   sources in a folder ─ tsc ─▶ .js and .d.ts of what the entries reach, with imports of each other as .js
 */

import ts from "typescript";
import { CulvertError } from "../../protocol/errors.ts";

export interface CompileOptions {
  /** Holds the sources and `node_modules`. */
  readonly folder: string;
  readonly outFolder: string;
  /** Files of the folder that the package exports, and declarations that they need. */
  readonly entries: readonly string[];
  /** Imports of packages that go by another name here than where they come from. */
  readonly renamed: ReadonlyMap<string, string>;
}

/** The strictness of deno.json, and what Node 20 understands. */
const settings: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.esnext.d.ts", "lib.dom.d.ts"],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  skipLibCheck: true,
  declaration: true,
  noEmitOnError: true,
  rewriteRelativeImportExtensions: true,
};

/** Throws `bad_code` with what tsc finds wrong. */
export function compileForNode({ folder, outFolder, entries, renamed }: CompileOptions): void {
  const program = ts.createProgram({
    rootNames: entries.map((entry) => `${folder}/${entry}`),
    options: { ...settings, typeRoots: [`${folder}/node_modules/@types`], rootDir: folder, outDir: outFolder },
  });
  const { diagnostics } = program.emit(undefined, (path, text) => {
    ts.sys.writeFile(path, path.endsWith(".d.ts") ? withJsImports(text) : withRenamed(text, renamed));
  });
  if (diagnostics.length === 0) return;
  const host = { getCanonicalFileName: String, getCurrentDirectory: () => folder, getNewLine: () => "\n" };
  throw new CulvertError("bad_code", `Cannot compile the package:\n${ts.formatDiagnostics(diagnostics, host)}`);
}

/** tsc rewrites the imports of code, and leaves those of declarations. */
function withJsImports(declaration: string): string {
  return declaration.replace(/((?:from|import)\s*\(?")(\.{1,2}\/[^"]+)\.ts"/g, '$1$2.js"');
}

function withRenamed(code: string, renamed: ReadonlyMap<string, string>): string {
  return code.replace(/(from ")([^"]+)(";)/g, (all, from, name, end) => {
    const other = renamed.get(name);
    return other === undefined ? all : from + other + end;
  });
}
