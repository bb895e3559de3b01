/** `culvert node` as a process of its own: killed at any moment, it never shares more than its caps. */

import { fromFileUrl } from "@std/path";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Stream, writeAll } from "../../protocol/stream.ts";
import { Program } from "../../testing/program.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { ENROLMENT_CODE, TestOrchestrator } from "./fixtures/orchestrator.ts";
import { Site } from "./fixtures/site.ts";

const MIB = 1024 * 1024;
const CULVERT = [Deno.execPath(), "run", "-A", fromFileUrl(new URL("../main.ts", import.meta.url))] as const;
const env = { DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };

async function run(...args: string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const [program, ...first] = CULVERT;
  const output = await new Deno.Command(program, { args: [...first, ...args], env, stdin: "null" }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, out: text(output.stdout), err: text(output.stderr) };
}

/** Sends and hears back until the stream ends; gives what came back. */
async function pour(stream: Stream): Promise<number> {
  let heard = 0;
  const bytes = new Uint8Array(64 * 1024);
  const sending = (async () => {
    for (;;) await writeAll(stream, bytes);
  })().catch(() => {});
  try {
    const into = new Uint8Array(64 * 1024);
    for (let count; (count = await stream.read(into)) !== null;) heard += count;
  } catch {
    // It was cut.
  }
  stream.close();
  await sending;
  return heard;
}

Deno.test("a node that is killed again and again shares no byte beyond its cap, and loses a block each time", async () => {
  await using orchestrator = new TestOrchestrator();
  await using site = new Site();
  using temp = new TempDirectory();
  Deno.writeTextFileSync(temp.path("p.toml"), `allow_addresses = ["loopback"]\n[ports]\nallow = [${site.port}]\n`);
  const stateDir = temp.path("state");
  const capBytes = 24 * MIB;
  const flags = ["--orchestrator", orchestrator.url, "--code", ENROLMENT_CODE, "--yes", "--json", "--metered", "share"];
  const own = ["--state-dir", stateDir, "--egress-policy", temp.path("p.toml"), "--daily-cap", `${capBytes}`];
  const start = () => new Program([...CULVERT, "node", ...flags, ...own, "--log-level", "error"], { env, quiet: true });
  const read = () => JSON.parse(Deno.readTextFileSync(`${stateDir}/node-usage.json`)) as { dayBytes: number };
  let kills = 0;
  let sharedBytes = 0;
  for (const stopAtBytes of [2 * MIB, 7 * MIB, Infinity]) {
    await using program = start();
    assertEquals((await program.readJson()).ready, true);
    const node = await orchestrator.node((node) => node.isOpen);
    const before = site.receivedBytes;
    const pouring = pour(await node.path.dial({ host: "127.0.0.1", port: site.port }));
    if (stopAtBytes < Infinity) {
      await eventually("enough traffic", () => site.receivedBytes - before >= stopAtBytes);
      program.crash();
      kills++;
      await within("the orchestrator's notice", orchestrator.changes.until(() => node.gone.aborted, "its end"));
    }
    const heard = await within("the end of the stream", pouring);
    sharedBytes += site.receivedBytes - before + heard;
    assert(sharedBytes <= capBytes, `${sharedBytes} of ${capBytes}`);
    assert(read().dayBytes >= sharedBytes, "what is written is never less than what passed");
  }
  const lostBytes = read().dayBytes - sharedBytes;
  const onTheWayBytes = 6 * MIB; // had passed the node, and was in buffers when the ends were counted
  assert(lostBytes <= kills * 256 * 1024 + onTheWayBytes, `${lostBytes}`);
});

Deno.test("the commands give codes and words that scripts and people can use", async () => {
  using temp = new TempDirectory();
  const state = ["--state-dir", temp.path("state")];
  const unasked = await run("node", "--orchestrator", "http://127.0.0.1:9/", ...state);
  assertEquals(unasked.code, 2);
  assertMatch(unasked.err, /This node shares[^]*What you agree to \(version 1\)[^]*give --yes/);
  assertEquals(unasked.out, "");
  const absent = await run("node", "status", ...state);
  assertEquals([absent.code, absent.out], [1, ""]);
  assertMatch(absent.err, /there is none/);
  const consent = await run("node", "consent", ...state);
  assertEquals(consent.code, 0);
  assert(consent.out.split("\n").every((line) => line.length <= 80), "it fits a terminal");
  const wrong = await run(
    "node",
    "--orchestrator",
    "ftp://x/",
    "--schedule",
    "sometimes",
    "--daily-cap",
    "1KiB",
    ...state,
  );
  assertEquals(wrong.code, 2);
  for (const flag of ["--orchestrator", "--schedule", "--daily-cap"]) {
    assertMatch(wrong.err, new RegExp(`${flag} must be`));
  }
});
