/** The checks of docs/node-protocol.md, against `culvert node` as a process. */

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { lineOf, startProgram } from "./node.ts";
import { type NodePlaces, runChecks } from "./run_checks.ts";

const main = fromFileUrl(new URL("../../roles/main.ts", import.meta.url));

/** As its owner would start it, but for the sites of this machine, which its policy opens. */
function commandOf({ url, code, port, closedPort }: NodePlaces, directory: TempDirectory): string[] {
  const policy = directory.path("policy.toml");
  Deno.writeTextFileSync(policy, `allow_addresses = ["loopback"]\n[ports]\nallow = [443, ${port}, ${closedPort}]\n`);
  return [
    ...[Deno.execPath(), "run", "-A", "--no-check", main, "node", "--yes", "--orchestrator", url, "--code", code],
    ...["--tunnels", "1", "--min-battery", "0", "--metered", "share", "--egress-policy", policy],
    ...["--state-dir", directory.path("state"), "--log-level", "error"],
  ];
}

Deno.test("our node keeps to the protocol", async () => {
  using directory = new TempDirectory();
  const verdicts = await runChecks((places) => startProgram(commandOf(places, directory)));
  assertEquals(verdicts.filter(({ holds }) => !holds).map(lineOf).join("\n"), "");
});
