/**
 * What `mod.ts` and `testing/mod.ts` export is documented, every symbol of it, and its examples run as they stand in the comments.
 * So is what `protocol/mod.ts` exports, but for schemas and the types made of them: those are told of in the header of each file
 * and not field by field.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TempDirectory } from "../testing/temp_directory.ts";

const root = fromFileUrl(new URL("..", import.meta.url));
const ENTRIES = ["mod.ts", "testing/mod.ts"];
/** Under `protocol/`: files of schemas. */
const SCHEMAS = ["control/commands.ts", "control/messages.ts", "directory.ts", "fields.ts"];

async function deno(cwd: string, ...args: string[]): Promise<{ readonly success: boolean; readonly said: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  return { success, said: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

Deno.test("every symbol of the library is documented, and refers to what is exported", async () => {
  const { success, said } = await deno(root, "doc", "--lint", ...ENTRIES);
  assert(success, said);
});

Deno.test("so is every symbol of the formats, where they are not schemas", async () => {
  const { said } = await deno(root, "doc", "--lint", "protocol/mod.ts");
  const files = new Set([...said.matchAll(/--> .*\/protocol\/(\S+\.ts):/g)].map(([, file]) => file));
  assertEquals([...files].sort(), SCHEMAS, said);
});

Deno.test("one that is not would be found", async () => {
  using folder = new TempDirectory();
  Deno.writeTextFileSync(folder.path("a.ts"), "export function undocumented(): void {}\n");
  const { success, said } = await deno(folder.path("."), "doc", "--lint", "a.ts");
  assert(!success);
  assertStringIncludes(said, "missing-jsdoc");
});

Deno.test("the examples in its comments run", async () => {
  const { success, said } = await deno(root, "test", "--doc", "--no-check", "-A", ...ENTRIES);
  assert(success, said);
  assertMatch(said, /ok \| 2 passed/);
});
