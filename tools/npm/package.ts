/**
 * Makes the npm package of the library.
 *
 *   sources + stand-ins (`stand_ins.ts`) ─ tsc (`compile.ts`) ─▶ .js, .d.ts ─ `deno pack` ─▶ culvert-culvert-VERSION.tgz
 *
 * tsc takes only what the entries reach, so tests, roles and FFI are not in it. `deno pack` writes the package.json, with the
 * dependencies that the code imports; what it has no words for is put in afterwards: the Node that is asked for, what the package
 * is, and versions as they are here, where it would take any later one.
 */

import { dirname, join, relative } from "@std/path";
import project from "../../deno.json" with { type: "json" };
import { CulvertError } from "../../protocol/errors.ts";
import { compileForNode } from "./compile.ts";
import { standIns } from "./stand_ins.ts";

export interface PackageOptions {
  /** The root of the sources. */
  readonly root: string;
  /** The tarball to write. */
  readonly output: string;
}

/** What the package exports. */
const EXPORTS: Readonly<Record<string, string>> = {
  ".": "mod.ts",
  "./protocol": "protocol/mod.ts",
  "./testing": "testing/mod.ts",
};
/** Where the entries' code may be. */
const SOURCE_FOLDERS = ["protocol", "net", "testing", "native", "types"];
const DESCRIPTION = "Culvert's ways to carry streams beneath what stands in their way, for programs of your own";
const OLDEST_NODE = ">=20.19";
const TEXTS = ["LICENSE", "docs/library.md"];
/** Of the oldest Node that the package is for. Not in deno.json, or Deno would take them for its own `node:` modules. */
export const NODE_TYPES = "npm:@types/node@20.19.43";
/** The standard library's copy on npm. */
const STANDARD_LIBRARY = "deno-std";
const STANDARD_VERSION = "1.4.0";
/** What Node 20 lacks: in a folder of its own, and loaded first. */
const LANGUAGE = "language/language.ts";

export async function makePackage({ root, output }: PackageOptions): Promise<void> {
  const work = Deno.makeTempDirSync({ prefix: "culvert-npm-" });
  try {
    const [sources, built] = [join(work, "sources"), join(work, "package")];
    copySources(root, sources);
    await installPackages(root, sources);
    const entries = [LANGUAGE, "types/std.d.ts", ...Object.values(EXPORTS)];
    compileForNode({ folder: sources, outFolder: built, entries, renamed: renamedImports() });
    addTexts(root, built);
    Deno.mkdirSync(dirname(output), { recursive: true });
    await runDeno(built, ["pack", "--quiet", "--allow-dirty", "--allow-slow-types", "--output", output]);
    await completeManifest(output, join(work, "packed"));
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
}

/** The sources as they are, but for the stand-ins, and every entry asks for the language first. */
function copySources(root: string, to: string): void {
  for (const folder of SOURCE_FOLDERS) copyFolder(join(root, folder), join(to, folder));
  Deno.mkdirSync(join(to, dirname(LANGUAGE)));
  for (const file of ["language.ts", "missing.ts", "disposable_stacks.ts"]) {
    Deno.copyFileSync(join(root, "tools/npm", file), join(to, dirname(LANGUAGE), file));
  }
  for (const [place, standIn] of Object.entries(standIns)) {
    const path = relative(dirname(place), standIn);
    Deno.writeTextFileSync(join(to, place), `export * from "${path.startsWith(".") ? path : `./${path}`}";\n`);
  }
  for (const entry of Object.values(EXPORTS)) {
    const up = "../".repeat(entry.split("/").length - 1) || "./";
    const text = Deno.readTextFileSync(join(root, entry));
    Deno.writeTextFileSync(join(to, entry), text.replace(/^export /m, `import "${up}${LANGUAGE}";\n\nexport `));
  }
}

function copyFolder(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) {
      if (name !== "fixtures") copyFolder(join(from, name), join(to, name));
    } else if (/\.tsx?$/.test(name) && !/_(test|bench)\.ts$/.test(name)) {
      Deno.copyFileSync(join(from, name), join(to, name));
    }
  }
}

/** The packages that the sources import, in the versions of deno.json, where tsc looks for them. */
async function installPackages(root: string, folder: string): Promise<void> {
  const names = ["zod", "undici", "fast-check", "@noble/ciphers", "@noble/curves", "@noble/hashes"];
  const imports = Object.fromEntries(
    names.map((name) => [name, project.imports[name as keyof typeof project.imports]]),
  );
  const config = { imports: { ...imports, "@types/node": NODE_TYPES }, nodeModulesDir: "auto" };
  Deno.writeTextFileSync(join(folder, "deno.json"), JSON.stringify(config));
  Deno.copyFileSync(join(root, "deno.lock"), join(folder, "deno.lock"));
  await runDeno(folder, ["install", "--quiet"]);
}

/** What `deno pack` reads, and what a package says of itself. */
function addTexts(root: string, built: string): void {
  const { name, version, license, imports } = project;
  const exports = Object.entries(EXPORTS).map(([at, file]) => [at, `./${file.replace(/\.ts$/, ".js")}`]);
  const packages = { ...imports, [`${STANDARD_LIBRARY}/`]: `npm:/${STANDARD_LIBRARY}@${STANDARD_VERSION}/` };
  const config = { name, version, license, imports: packages, exports: Object.fromEntries(exports) };
  Deno.writeTextFileSync(join(built, "deno.json"), JSON.stringify(config));
  for (const text of TEXTS) {
    const file = text === "docs/library.md" ? "README.md" : text;
    Deno.writeTextFileSync(join(built, file), withoutLinks(Deno.readTextFileSync(join(root, text))));
  }
}

/** What a text links to beside it is not in the package: the words stay. */
function withoutLinks(text: string): string {
  return text.replace(/\[([^\]]+)\]\((?!https?:|#)[^)]*\)/g, "$1");
}

/** Rewrites the package.json within the tarball. */
async function completeManifest(tarball: string, folder: string): Promise<void> {
  Deno.mkdirSync(folder);
  await run("tar", ["xzf", tarball, "-C", folder]);
  const path = join(folder, "package/package.json");
  const manifest = JSON.parse(Deno.readTextFileSync(path));
  const exact = (versions: Readonly<Record<string, string>> = {}) =>
    Object.fromEntries(Object.entries(versions).map(([name, version]) => [name, version.replace(/^[\^~]/, "")]));
  const completed = {
    ...manifest,
    description: DESCRIPTION,
    engines: { node: OLDEST_NODE },
    dependencies: exact(manifest.dependencies),
  };
  Deno.writeTextFileSync(path, JSON.stringify(completed, undefined, 2));
  await run("tar", ["czf", tarball, "-C", folder, "package"]);
}

/** `@std/x` is `deno-std/x/mod.js` on npm. `deno pack` would leave it as it is. */
function renamedImports(): ReadonlyMap<string, string> {
  const prefix = `npm:${STANDARD_LIBRARY}@${STANDARD_VERSION}/`;
  const standard = Object.entries(project.imports).filter(([, from]) => from.startsWith(prefix));
  return new Map(standard.map(([name, from]) => [name, `${STANDARD_LIBRARY}/${from.slice(prefix.length)}`]));
}

function runDeno(cwd: string, args: readonly string[]): Promise<void> {
  return run(Deno.execPath(), args, cwd);
}

async function run(program: string, args: readonly string[], cwd?: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
    ...cwd !== undefined && { cwd },
    stdout: "null",
  }).output();
  if (!success) {
    const said = new TextDecoder().decode(stderr);
    throw new CulvertError("failed", `Cannot make the package: ${program} ${args[0]} failed: ${said}`);
  }
}
