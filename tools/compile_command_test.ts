import { assertEquals } from "@std/assert";
import { compileWords, shellLine } from "./compile_command.ts";
import { executablesOf } from "./executables.ts";
import { targets } from "./targets.ts";

const places = { code: "/tmp/code", out: "/tmp/out" };

Deno.test("an executable of one role is compiled with its permissions and begins with its name", () => {
  const [exit] = executablesOf(["exit"], { mayDoAll: false });
  const words = compileWords(exit!, { target: "aarch64-apple-darwin", ...places });
  assertEquals(words.filter((word) => word.startsWith("--allow-")), [
    "--allow-net",
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-sys",
  ]);
  assertEquals(words.slice(words.indexOf("--include")), [
    ...["--include", "/tmp/code", "--target", "aarch64-apple-darwin"],
    ...["--output", "/tmp/out/culvert-exit-aarch64-apple-darwin", "/tmp/code/roles/main.js", "exit"],
  ]);
});

Deno.test("no two platforms share a file, and Windows knows its own by their ending", () => {
  const [all] = executablesOf([], { mayDoAll: false });
  const files = targets.map((target) => {
    const words = compileWords(all!, { target, ...places });
    return words[words.indexOf("--output") + 1]!;
  });
  assertEquals(new Set(files).size, 6);
  assertEquals(files.filter((file) => file.endsWith(".exe")).length, 2);
});

Deno.test("a shell reads a printed command as it is", () => {
  assertEquals(shellLine(["a", "--b=c/d,e", "f g", "it's", ""]), `a --b=c/d,e 'f g' 'it'\\''s' ''`);
});
