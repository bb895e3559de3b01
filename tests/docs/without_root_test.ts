/**
 * Commands of the documents that say `sudo`, typed without it: each ends soon, with another exit code than 0 and one sentence that
 * says what it would need; no stack, and nothing left behind that waits for ever.
 */

import { assert, assertEquals } from "@std/assert";
import { requires, withNeeds } from "../../testing/requirements.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { commandsOf } from "./commands.ts";
import { documents, readRepositoryFile } from "./documents.ts";
import type { Machine } from "./scene/machine.ts";
import { Scene } from "./scene/scene.ts";
import { copyDenoCache } from "./scene/shared.ts";

const NEEDS = { netns: true, tools: ["openssl", "setpriv", "unshare"] };
const TIME_LIMIT_MS = 300_000;
const AT_A_TIME = 4;
const PEER = "rna4gmbgllipwqkqtr65zyo6zi";
const CREDENTIAL = `${"A".repeat(43)}.${"B".repeat(42)}A`;
const RIGHTS = /root|CAP_NET_/;

/** Values of placeholders; the names of the others are as good as any. */
const known: readonly (readonly [string, string])[] = [
  ["PEERID", PEER],
  ["CREDENTIAL", CREDENTIAL],
  ["$SUPERNODE", `https://${PEER}@sn.example.org/`],
  ["$NAME", "sn.example.org"],
];

/** Where root is not what is missing first: commands to what runs, and here nothing does. */
const others: readonly { readonly begins: string; readonly says: RegExp }[] = [
  { begins: "culvert client status", says: /there is none/ },
  { begins: "culvert client down", says: /there is none/ },
  { begins: "culvert admin", says: /no supernode/ },
  { begins: "culvert proxy report", says: /no proxy/ },
];

function commandsOfRoot(): string[] {
  const all = documents().flatMap((document) => commandsOf(document, readRepositoryFile(document)));
  return [...new Set(all.map(({ text }) => text).filter((text) => /^sudo (\w+=\S+ )?culvert /.test(text)))];
}

async function typeWithoutRoot(machine: Machine, command: string): Promise<void> {
  let typed = command.replace(/^sudo /, "");
  for (const [name, value] of known) typed = typed.replaceAll(name, value);
  const order = await machine.run(typed);
  const output = order.output();
  assert(order.code() === 1 || order.code() === 2, `${typed} ended with ${order.code()}:\n${output}`);
  assert(!/^ +at /m.test(output), `${typed} showed where in the program:\n${output}`);
  const { says } = others.find(({ begins }) => typed.startsWith(begins)) ?? { says: RIGHTS };
  const lines = output.trim().split("\n");
  assert(lines.some((line) => says.test(line)), `${typed} must say ${says}, but said\n${output}`);
  assertEquals(lines.filter((line) => line.includes('"level":"error"')).length, 1, output);
}

async function typeAll(): Promise<void> {
  using folder = new TempDirectory();
  await copyDenoCache(folder.path("deno"));
  const names = Array.from({ length: AT_A_TIME }, (_, index) => `user-${index}`);
  const files = { "policy.toml": "", "wg0.conf": `[Interface]\nPrivateKey = ${"A".repeat(42)}E=\n` };
  const machines = Object.fromEntries(names.map((name) => [name, {}]));
  await using scene = await Scene.open({
    name: "without-root",
    machines: { ...machines, server: { names: ["sn.example.org", "base.example.org"] } },
    files,
    denoCache: folder.path("deno"),
  });
  // The certificate of a server is root's to read; here it is the port that is in the way.
  await scene.machine("server").run(
    "cp chain.pem ours.pem; cp chain.pem me.pem; cp key.pem me.key; chmod 600 wg0.conf",
  );
  const waiting = commandsOfRoot();
  assert(waiting.length > 20);
  await Promise.all(names.map(async (name) => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await typeWithoutRoot(scene.machine(name), next);
  }));
}

const name = "a command of the documents that needs root says so to whoever is not, and ends";
Deno.test({ ...withNeeds(requires(NEEDS), name, typeAll), timeout: TIME_LIMIT_MS });
