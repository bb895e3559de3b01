/**
 * The modules that Workers begin with. Neither `deno bundle` nor `deno compile` follows `new URL("./x.ts", import.meta.url)`,
 * so that these have to be named to them; they are found here by that very expression.
 */

import { dirname, join, relative } from "@std/path";

const WORKER_URL = /new URL\("\.\/([\w/]+\.ts)", import\.meta\.url\)/g;

/** The folders whose code runs in a program. */
const FOLDERS = ["protocol", "native", "net", "kv", "edge", "roles"];

/** Each as a path from the root, sorted. */
export function findWorkerModules(root: string): string[] {
  const found = FOLDERS.flatMap((folder) => sourcesIn(join(root, folder))).flatMap((file) =>
    workerUrls(Deno.readTextFileSync(file)).map((name) => relative(root, join(dirname(file), name)))
  );
  return [...new Set(found)].sort();
}

/** What a module's text names so, from the folder it is in. */
export function workerUrls(text: string): string[] {
  return [...text.matchAll(WORKER_URL)].map(([, name]) => name!);
}

/** Sources that programs are made of: neither tests nor what these share. */
function sourcesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = join(folder, name);
    if (isDirectory) return name === "fixtures" ? [] : sourcesIn(path);
    return /\.ts$/.test(name) && !/_(test|bench)\.ts$/.test(name) ? [path] : [];
  });
}
