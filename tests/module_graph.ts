/**
 * The repository's module graph as `deno info --json` sees it, with paths from the repository's root and packages by
 * the name `deno.json` gives them. It follows what the compiler can follow: an `import()` of a computed name and a
 * `new Worker(…)` are not edges.
 */

import { fromFileUrl, join, relative, toFileUrl } from "@std/path";
import type { Edge, Graph } from "./layers.ts";

interface InfoDependency {
  readonly specifier: string;
  readonly code?: { readonly specifier?: string; readonly error?: string };
  readonly type?: { readonly specifier?: string; readonly error?: string };
  readonly isDynamic?: boolean;
}

interface InfoModule {
  readonly specifier: string;
  readonly error?: string;
  readonly dependencies?: readonly InfoDependency[];
}

const SKIPPED_FOLDERS = new Set(["node_modules", "coverage", "dist", "npm"]);
const SOURCE_NAME = /\.(ts|tsx|js|mjs)$/;

/** Every source file under the root, as sorted paths from it. */
export function listSources(root: string): string[] {
  function walk(folder: string): string[] {
    return [...Deno.readDirSync(join(root, folder))].flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory) return entry.name.startsWith(".") || SKIPPED_FOLDERS.has(entry.name) ? [] : walk(path);
      return SOURCE_NAME.test(entry.name) ? [path] : [];
    });
  }
  return walk("").sort();
}

/** Reads the graph of every source file under the root. */
export async function readGraph(root: string): Promise<Graph> {
  const files = listSources(root);
  const modules = await describe(root, files);
  const isFile = new Set(files);
  const edges = modules.flatMap((module): Edge[] => {
    const from = fromRoot(root, module.specifier);
    if (!isFile.has(from)) return [];
    if (module.error) throw new Error(`Cannot read the graph: ${module.error}`);
    return (module.dependencies ?? []).flatMap((dependency) => edgesOf(root, from, dependency));
  });
  return { atRoot: [...Deno.readDirSync(root)].map((entry) => entry.name), files, edges };
}

/** One `deno info` for all files: a file that imports every one of them is its root. */
async function describe(root: string, files: readonly string[]): Promise<readonly InfoModule[]> {
  const entry = await Deno.makeTempFile({ prefix: "culvert-graph-", suffix: ".ts" });
  try {
    const imports = files.map((file) => `import ${JSON.stringify(toFileUrl(join(root, file)).href)};\n`);
    await Deno.writeTextFile(entry, imports.join(""));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", "--config", join(root, "deno.json"), entry],
      cwd: root,
    }).output();
    if (!success) throw new Error(`Cannot read the graph: ${new TextDecoder().decode(stderr)}`);
    return JSON.parse(new TextDecoder().decode(stdout)).modules;
  } finally {
    await Deno.remove(entry);
  }
}

function edgesOf(root: string, from: string, dependency: InfoDependency): Edge[] {
  const { specifier, code, type, isDynamic } = dependency;
  const unresolved = code?.error ?? type?.error;
  if (unresolved) throw new Error(`Cannot resolve ${specifier} in ${from}: ${unresolved}`);
  const edges: Edge[] = [];
  if (code?.specifier) {
    edges.push({ from, to: nameOf(root, specifier, code.specifier), kind: isDynamic ? "dynamic" : "static" });
  }
  if (type?.specifier && !code?.specifier) {
    edges.push({ from, to: nameOf(root, specifier, type.specifier), kind: "type" });
  }
  return edges;
}

/** `@std/assert` → `npm:@std/assert`: the name in the source, because several names may map to one package. */
function nameOf(root: string, specifier: string, resolved: string): string {
  if (resolved.startsWith("file:")) return fromRoot(root, resolved);
  if (!resolved.startsWith("npm:") && !resolved.startsWith("jsr:")) return resolved;
  const bare = specifier.replace(/^(npm|jsr):\/?/, "");
  const name = /^(@[^/@]+\/[^/@]+|[^/@]+)/.exec(bare)?.[0] ?? bare;
  return `npm:${name}`;
}

function fromRoot(root: string, url: string): string {
  return url.startsWith("file:") ? relative(root, fromFileUrl(url)).replaceAll("\\", "/") : url;
}
