import { assertStringIncludes } from "@std/assert";
import { dirname, fromFileUrl } from "@std/path";
import { testWith } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";

const SCRIPT = fromFileUrl(import.meta.resolve("./fixtures/install_as_root.sh"));
const REPOSITORY = dirname(fromFileUrl(import.meta.resolve("../../deno.json")));

testWith(
  { root: true, tools: ["unshare", "bash", "useradd", "userdel"] },
  "as root a service gets a user of its own, runs as that, and nothing of either is left",
  async () => {
    using temp = new TempDirectory();
    const { stdout, stderr } = await new Deno.Command("unshare", {
      args: ["--mount", "--propagation", "private", "bash", SCRIPT, Deno.execPath(), REPOSITORY, temp.path(".")],
    }).output();
    const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
    const lines = [
      "owner culvert-out 700",
      "config root culvert-out 640",
      "runs as culvert-out",
      "out: its program, user and ports are as they should be",
      "out is uninstalled",
      "no user",
      "no files",
      "no process",
    ];
    for (const line of lines) assertStringIncludes(said, line);
  },
);
