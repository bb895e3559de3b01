import { assertEquals, assertRejects } from "@std/assert";
import { CulvertError } from "../protocol/errors.ts";
import { TempDirectory } from "../testing/temp_directory.ts";
import { platformOf, requireRuntimeFor } from "./runtime_file.ts";
import { targets } from "./targets.ts";

/** The first bytes of each, as its format's specification has them. */
const heads: Readonly<Record<string, Uint8Array>> = {
  "x86_64-unknown-linux-gnu": headOf({ 0: "7f454c460201", 18: "3e00" }),
  "aarch64-unknown-linux-gnu": headOf({ 0: "7f454c460201", 18: "b700" }),
  "x86_64-apple-darwin": headOf({ 0: "cffaedfe07000001" }),
  "aarch64-apple-darwin": headOf({ 0: "cffaedfe0c000001" }),
  "x86_64-pc-windows-msvc": headOf({ 0: "4d5a", 60: "78000000", 120: "504500006486" }),
  "aarch64-pc-windows-msvc": headOf({ 0: "4d5a", 60: "78000000", 120: "5045000064aa" }),
};

function headOf(parts: Readonly<Record<number, string>>): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(128);
  for (const [at, hex] of Object.entries(parts)) head.set(Uint8Array.fromHex(hex), Number(at));
  return head;
}

Deno.test("every platform's executables are known by their first bytes", () => {
  assertEquals(Object.keys(heads), [...targets]);
  for (const [target, head] of Object.entries(heads)) assertEquals(platformOf(head), target);
});

Deno.test("what is no executable of them is told apart, however short", () => {
  const others = {
    "nothing": new Uint8Array(0),
    "a script": new TextEncoder().encode("#!/bin/sh\n".padEnd(128)),
    "an ELF of 32 bits": headOf({ 0: "7f454c460101", 18: "3e00" }),
    "an ELF of another processor": headOf({ 0: "7f454c460201", 18: "f300" }),
    "a PE cut short": headOf({ 0: "4d5a", 60: "7c000000", 124: "50450000" }),
    "a PE that leads nowhere": headOf({ 0: "4d5a", 60: "ffffffff" }),
  };
  for (const [name, head] of Object.entries(others)) assertEquals(platformOf(head), undefined, name);
});

Deno.test("the Deno that runs this is for the platform that it runs on", async () => {
  const target = targets.find((target) => target === Deno.build.target);
  if (target !== undefined) await requireRuntimeFor(target, Deno.execPath());
});

Deno.test("a runtime of another platform, none, or one that is not there is refused by name", async () => {
  using directory = new TempDirectory();
  const path = directory.path("denort");
  const refused = (says: string) =>
    assertRejects(() => requireRuntimeFor("aarch64-apple-darwin", path), CulvertError, says);
  await refused(`DENORT_BIN must be a file that can be read, got ${path}`);
  await Deno.writeFile(path, heads["x86_64-unknown-linux-gnu"]!);
  await refused(
    `Cannot compile: DENORT_BIN must be an executable for aarch64-apple-darwin, got ${path}, which is for x86_64-unknown-linux-gnu`,
  );
  await Deno.writeTextFile(path, "#!/bin/sh\n");
  await refused(`got ${path}, which is none`);
});
