/**
 * Which packages are in the image: all that roles import, and none that only tests and tools do.
 */

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import deno from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);

interface Info {
  readonly modules: readonly { readonly dependencies?: readonly { readonly specifier: string }[] }[];
}

/** `npm:zod@4.6.7` → `npm:zod`. */
function packageOf(name: string): string {
  return /^npm:@?[^@]+/.exec((deno.imports as Record<string, string>)[name]!)![0];
}

async function importedByRoles(): Promise<readonly string[]> {
  const main = fromFileUrl(new URL("roles/main.ts", ROOT));
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", main] }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as Info;
  return modules.flatMap(({ dependencies = [] }) => dependencies.map(({ specifier }) => specifier));
}

Deno.test("the Dockerfile leaves out the packages that no role imports, and no other", async () => {
  const imported = await importedByRoles();
  const names = Object.keys(deno.imports);
  const isImported = (name: string) => imported.some((each) => each === name || each.startsWith(`${name}/`));
  const needed = new Set(names.filter(isImported).map(packageOf));
  const dockerfile = Deno.readTextFileSync(new URL("Dockerfile", ROOT));
  const removed = /deno remove ([^&]*)/.exec(dockerfile)![1]!.split(/[\s\\]+/).filter((word) => /^[^-]/.test(word));
  assertEquals(removed.toSorted(), names.filter((name) => !needed.has(packageOf(name))).toSorted());
});
