import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TempDirectory } from "../testing/temp_directory.ts";
import { isOutOfReach } from "./compile.ts";
import { targets } from "./targets.ts";

const PROGRAM = fromFileUrl(new URL("./compile.ts", import.meta.url));

async function compile(
  env: Record<string, string>,
  ...args: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", PROGRAM, ...args],
    env,
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("--dry-run prints a command for each platform and role, and does nothing", async () => {
  const { code, stdout } = await compile({}, "exit", "supernode", "--dry-run", "--out", "/nonexistent");
  assertEquals(code, 0);
  const lines = stdout.trimEnd().split("\n");
  assertEquals(lines.length, 2 * targets.length);
  for (const line of lines) assertMatch(line, /^deno compile .* --output \/nonexistent\/culvert-(exit|supernode)-/);
});

Deno.test("a platform or role that there is none of exits with 2 and says which there are", async () => {
  const wrongTarget = await compile({}, "--target", "mips", "--dry-run");
  assertEquals(wrongTarget.code, 2);
  assertMatch(
    wrongTarget.stderr,
    /^Cannot compile: the target must be one of x86_64-unknown-linux-gnu, .*, got mips$/m,
  );
  assertEquals((await compile({}, "exits", "--dry-run")).code, 2);
});

Deno.test("that the runtime cannot be fetched is told from other failures", () => {
  const complaint =
    "error sending request for url (https://dl.deno.land/release/v2.9.6/denort-x86_64-unknown-linux-gnu.zip)";
  assert(isOutOfReach(complaint));
  assert(!isOutOfReach("No space left on device (os error 28)"));
});

Deno.test("a runtime that is named is taken for one platform, its own, and nothing is written otherwise", async () => {
  using directory = new TempDirectory();
  const [out, denort] = [directory.path("out"), directory.path("denort")];
  await Deno.writeTextFile(denort, "none");
  const of = async (...args: string[]) => await compile({ DENORT_BIN: denort }, "exit", "--out", out, ...args);
  const all = await of();
  assertEquals(all.code, 2);
  assertMatch(all.stderr, /^Cannot compile: with DENORT_BIN, .*, there must be one --target, got 6$/m);
  const one = await of("--target", "aarch64-apple-darwin");
  assertEquals(one.code, 1);
  assertMatch(one.stderr, /^Cannot compile: DENORT_BIN must be an executable for aarch64-apple-darwin, got /m);
  await assertRejects(() => Deno.stat(out), Deno.errors.NotFound);
});
