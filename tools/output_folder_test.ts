import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TempDirectory } from "../testing/temp_directory.ts";

for (const task of ["bundle", "compile", "pack"]) {
  Deno.test(`${task} says at once that it cannot write to a folder, and exits with 1`, async () => {
    using directory = new TempDirectory();
    const file = directory.path("file");
    await Deno.writeTextFile(file, "");
    for (const out of [file, `${file}/below`]) {
      const program = fromFileUrl(new URL(`./${task}.ts`, import.meta.url));
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", program, "--out", out],
        env: { NO_COLOR: "1" },
      }).output();
      const [said, ...more] = new TextDecoder().decode(stderr).trimEnd().split("\n");
      assertEquals([code, stdout.length, more], [1, 0, []]);
      assertEquals(said?.startsWith(`Cannot write ${out}: `), true, said);
    }
  });
}
