import { assertEquals, assertRejects } from "@std/assert";
import { TempDirectory } from "../../../testing/temp_directory.ts";
import { applySteps } from "./apply.ts";
import type { FileStep } from "./plan.ts";

const options = { signal: new AbortController().signal, onStep: () => {} };

function file(path: string, text: string, replaces?: string): FileStep {
  return { do: "file", path, text, shown: text, mode: 0o644, ...replaces !== undefined && { replaces } };
}

Deno.test("a file of ours is written anew, and is as it was when a later step fails", async () => {
  using temp = new TempDirectory();
  const path = temp.path("a.service");
  await Deno.writeTextFile(path, "old");
  await assertRejects(() => applySteps([file(path, "new", "old"), file(path, "third")], options), Error, "exists");
  assertEquals(await Deno.readTextFile(path), "old");
  await applySteps([file(path, "new", "old")], options);
  assertEquals([await Deno.readTextFile(path), Deno.statSync(path).mode! & 0o777], ["new", 0o644]);
  await assertRejects(() => applySteps([file(path, "other")], options), Error, "exists");
  assertEquals(await Deno.readTextFile(path), "new");
});
