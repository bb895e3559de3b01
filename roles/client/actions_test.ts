/** `culvert client down` at clients that do not answer as they should; at others: `tun/tunnel_machine_test.ts`. */

import { fromFileUrl } from "@std/path";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { NetLab } from "../../testing/netns.ts";
import { Program } from "../../testing/program.ts";
import { testWith } from "../../testing/requirements.ts";

const file = (path: string) => new URL(path, import.meta.url);
const env = { DENO_NO_UPDATE_CHECK: "1" };
/** Holds the journal, and says nothing sensible. */
const ODD_CLIENT = `
  import { Journal, journalPathOf } from "${file("../machine/journal.ts")}";
  const path = await journalPathOf("culvert");
  const journal = await Journal.take(path);
  await journal.record(JSON.parse(Deno.args[0]));
  const listener = Deno.listen({ transport: "unix", path: path + ".sock" });
  console.log(path);
  for await (const conn of listener) {
    await conn.write(new TextEncoder().encode("what?\\n"));
    conn.close();
  }`;

async function down(undo: object) {
  await using lab = await NetLab.open();
  const machine = await lab.namespace("machine");
  await using client = new Program(
    machine.inside([Deno.execPath(), "eval", ODD_CLIENT, JSON.stringify(undo)]),
    { env },
  );
  const journal = await client.readLine();
  await machine.run(["nft", "add table inet culvert_lock"]);
  const main = fromFileUrl(file("../main.ts"));
  const said = await machine.run([Deno.execPath(), "run", "-A", main, "client", "down"], { env, mayFail: true });
  await client.ended();
  const { stdout: tables } = await machine.run(["nft", "list", "tables"]);
  const left = [journal, `${journal}.sock`].filter((path) => removed(path));
  return { ...said, tables, left };
}

function removed(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch {
    return false; // it was not there
  }
}

const needs = { netns: true, tools: ["ip", "nft"] };

testWith(needs, "down ends a client that does not answer sensibly, and leaves nothing of it", async () => {
  const { code, stdout, tables, left } = await down({ kind: "routes", table: 51_860 });
  assertEquals({ code, stdout, tables, left }, { code: 0, stdout: "The client is down\n", tables: "", left: [] });
});

testWith(needs, "down opens the machine also when something else cannot be taken back, and says so", async () => {
  const setting = { kind: "setting", path: "/proc/sys/kernel/ostype", before: "a", after: "Linux" };
  const { code, stderr, tables, left } = await down(setting);
  assertEquals({ code, tables, left: left.length }, { code: 1, tables: "", left: 1 });
  assertStringIncludes(stderr, "could not be taken back");
});
