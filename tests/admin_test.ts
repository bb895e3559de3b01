/**
 * `culvert admin` as an administrator types it, at a supernode that runs with an exit and a client.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { clockOf } from "../protocol/clock.ts";
import { role as admin } from "../roles/admin.ts";
import { role as base } from "../roles/base.ts";
import { role as client } from "../roles/client.ts";
import { role as exit } from "../roles/exit.ts";
import { FakeHost } from "../roles/fixtures/fake_host.ts";
import type { Host } from "../roles/host.ts";
import { runRole } from "../roles/role.ts";
import { role as supernode } from "../roles/supernode.ts";
import { freePort } from "../testing/program.ts";
import { adminAt, openStream, Rig } from "./fixtures/admin_rig.ts";

/** Reads until the stream is over. By itself the page would end it after ten seconds. */
async function ended(conn: Deno.TcpConn): Promise<void> {
  const sinceMs = performance.now();
  const buffer = new Uint8Array(1024);
  while (await conn.read(buffer).catch(() => null) !== null);
  assert(performance.now() - sinceMs < 5_000, "nobody has cut it");
}

Deno.test("admin finds the supernode of its state directory, and shows what there is in 80 columns", async () => {
  await using rig = new Rig();
  const { proxy, exitId, clientId } = await rig.network();
  (await openStream(proxy)).close();
  const shown = await Promise.all(["status", "streams", "peers", "sessions"].map((list) => rig.admin("sn", list)));
  for (const { code, out, said } of shown) {
    assertEquals([code, said], [0, ""]);
    for (const line of out.split("\n")) assert(line.length <= 80, line);
  }
  const [status, streams, peers, sessions] = shown.map(({ out }) => out);
  assertMatch(
    status!,
    /^supernode {2}[a-z2-7]{26}\nregion {5}north\n[^]*\nstreams {4}2, 1 of them exits\nsessions {3}1\n/,
  );
  for (const list of [streams!, peers!]) {
    assertMatch(list, new RegExp(`\\n${exitId} [^\\n]*exit +north`));
    assertMatch(list, new RegExp(`\\n${clientId} [^\\n]*client`));
  }
  assertMatch(sessions!, /^SESSION +STATE +CLIENT +EXIT +REGION +PORT +ENDS IN\n[\w-]{22} {2}active /);
  assertEquals((await rig.admin("sn", "blocks")).out, "No blocks.\n");
});

Deno.test("admin lists page by page, and only what concerns a peer", async () => {
  await using rig = new Rig();
  const { admin, exitId, clientId } = await rig.network();
  const { token } = JSON.parse(await Deno.readTextFile(rig.directory.path("sn/admin.json")));
  const pages = [];
  for (let after = ""; pages.length < 2;) {
    const response = await fetch(`http://${admin}/v1/streams?limit=1&after=${after}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const page = await response.json();
    pages.push([page.total, page.streams.length, page.next === undefined]);
    after = page.next;
  }
  assertEquals(pages, [[2, 1, false], [2, 1, true]]);
  assertStringIncludes((await rig.admin("sn", "streams", "--limit", "1")).out, "1 of 2; --limit shows more.");
  const { streams } = JSON.parse((await rig.admin("sn", "streams", exitId, "--json")).out);
  assertEquals(streams.map(({ peerId }: { peerId: string }) => peerId), [exitId]);
  assertEquals(JSON.parse((await rig.admin("sn", "peers", clientId, "--json")).out).total, 1);
});

Deno.test("a client that is revoked loses its streams at once, and comes again when that is lifted", async () => {
  await using rig = new Rig();
  const { proxy, clientId } = await rig.network();
  using conn = await openStream(proxy);
  const { code, out } = await rig.admin("sn", "revoke", clientId, "--reason", "key was stolen");
  assertEquals(code, 0);
  assertStringIncludes(out, `${clientId} is thrown out`);
  await ended(conn);
  assertMatch((await rig.admin("sn", "peers")).out, new RegExp(`\\n${clientId} +revoked [^\\n]*key was`));
  assertMatch((await rig.admin("sn", "blocks")).out, new RegExp(`\\npeer +${clientId} [^\\n]*key was stolen`));
  assertEquals((await rig.admin("sn", "unrevoke", clientId)).code, 0);
  assertEquals(await rig.peers("sn").then((peers) => peers.filter(({ state }) => state === "revoked")), []);
  const again = await rig.admin("sn", "unrevoke", clientId);
  assertEquals(again.code, 1);
  assertStringIncludes(again.said, "is not blocked");
});

Deno.test("a supernode that is blocked carries nothing on from that moment", async () => {
  await using rig = new Rig();
  const { listen } = await rig.start(base, "base", { listen: "127.0.0.1:0", kv: ":memory:" });
  const at = (region: string) => ({ region, listen: `127.0.0.1:${freePort()}`, base: [`http://${listen}`] });
  const north = await rig.start(supernode, "north", at("north"));
  const south = await rig.start(supernode, "south", at("south"));
  await rig.start(exit, "exit", { region: "south", supernode: [south.supernode] });
  const { listen: proxy } = await rig.start(client, "client", {
    ...{ listen: "127.0.0.1:0", region: "south", supernode: [north.supernode] },
  });
  using conn = await untilItOpens(proxy!);
  const supernodeId = new URL(south.supernode!).username;
  assertStringIncludes((await rig.admin("north", "block", supernodeId)).out, `${supernodeId} is thrown out`);
  await ended(conn);
  assertMatch((await rig.admin("north", "blocks")).out, new RegExp(`\\nsupernode +${supernodeId}`));
  assertEquals((await rig.admin("north", "unblock", supernodeId)).code, 0);
});

/** Base has to hear of the exit first. */
async function untilItOpens(proxy: string): Promise<Deno.TcpConn> {
  for (let tries = 0;; tries++) {
    try {
      return await openStream(proxy);
    } catch (error) {
      if (tries === 50) throw error;
    }
  }
}

Deno.test("admin pushes commands, ends sessions, and drains; all of it is in the audit log", async () => {
  await using rig = new Rig();
  const { proxy, exitId } = await rig.network();
  using conn = await openStream(proxy);
  const { sessions } = JSON.parse((await rig.admin("sn", "sessions", "--json")).out);
  const { sessionId } = sessions[0];
  assertEquals((await rig.admin("sn", "end", sessionId)).out, `The session ${sessionId} has ended.\n`);
  await ended(conn);
  const pushed = await rig.admin("sn", "push", exitId, "DISCONNECT", '{"reason":"admin"}');
  assertEquals(pushed.out, `${exitId} has answered: applied.\n`);
  const refused = await rig.admin("sn", "push", exitId, "ROTATE_PEER", "{}", "--session", sessionId);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.said, "docs/admin.md");
  assertStringIncludes((await rig.admin("sn", "drain", "--within", "1h")).out, "told to leave within 1h");
  assertStringIncludes((await rig.admin("sn", "status")).out, "draining");
  assertEquals((await rig.admin("sn", "undrain")).out, "Peers are let in again.\n");
  const { audit } = JSON.parse((await rig.admin("sn", "audit", "--json")).out);
  const deeds = audit.map(({ action, outcome }: { action: string; outcome: string }) => `${action} ${outcome}`);
  assertEquals(deeds, ["end_session done", "push done", "push refused", "drain done", "undrain done"]);
});

Deno.test("where the API is and its token are for the owner of the state directory, while the supernode runs", async () => {
  await using rig = new Rig();
  const settings = { region: "north", listen: "127.0.0.1:0" };
  await rig.start(supernode, "own", settings);
  const { admin } = await rig.start(supernode, "given", { ...settings, adminToken: "chosen by somebody" });
  const none = await rig.start(supernode, "none", { ...settings, adminApi: false });
  assertEquals(none.admin, undefined);
  const file = rig.directory.path("own/admin.json");
  assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
  assertEquals(Object.keys(JSON.parse(await Deno.readTextFile(file))), ["url", "token"]);
  const given = JSON.parse(await Deno.readTextFile(rig.directory.path("given/admin.json")));
  assertEquals(given, { url: `http://${admin}` });
  const host = new FakeHost({ CULVERT_ADMIN_TOKEN: "chosen by somebody" });
  assertEquals((await adminAt(host, "status", "--state-dir", rig.directory.path("given"))).code, 0);
  await rig.stop();
  assertEquals([...Deno.readDirSync(rig.directory.path("own"))].filter(({ name }) => name === "admin.json"), []);
});

const PEER = "a".repeat(26);
const wrongs: readonly { name: string; words: readonly string[]; code: number; says: string; token?: string }[] = [
  { name: "another token", words: ["status"], token: "x", code: 1, says: "does not take this token" },
  {
    name: "nobody listening",
    words: ["status", "--admin", "http://127.0.0.1:1"],
    token: "x",
    code: 1,
    says: "nobody listens there",
  },
  {
    name: "no token for a supernode elsewhere",
    words: ["status", "--admin", "http://127.0.0.1:1"],
    code: 2,
    says: "wants a token",
  },
  {
    name: "a token over a network in the open",
    words: ["status", "--admin", "http://192.0.2.1"],
    token: "x",
    code: 2,
    says: "ssh -L",
  },
  {
    name: "a state directory without a supernode",
    words: ["status", "--state-dir", "/nonexistent"],
    code: 1,
    says: "no supernode or base runs",
  },
  {
    name: "a peer that is not there",
    words: ["push", PEER, "DISCONNECT"],
    code: 1,
    says: `${PEER} is not connected here`,
  },
  { name: "no peer id", words: ["revoke", "nonsense"], code: 2, says: "must be a peer id" },
  { name: "a session that is not there", words: ["end", "A".repeat(22)], code: 1, says: "there is none of that id" },
  { name: "no session id", words: ["end"], code: 2, says: "must be a session's id" },
  { name: "no command", words: ["push", PEER], code: 2, says: "<kind> must be given" },
  {
    name: "a command without what it says",
    words: ["push", PEER, "SETUP_EXIT"],
    code: 2,
    says: "<json> must be given",
  },
  { name: "a command that is no JSON", words: ["push", PEER, "DISCONNECT", "{"], code: 2, says: "an object in JSON" },
  { name: "a word too many", words: ["drain", PEER], code: 2, says: "<subject> must be left out" },
  { name: "watching a deed", words: ["drain", "--watch"], code: 2, says: "--watch must be left out" },
];
Deno.test("admin says what is wrong", async (t) => {
  await using rig = new Rig();
  await rig.start(supernode, "sn", { region: "north", listen: "127.0.0.1:0" });
  for (const { name, words, code, says, token } of wrongs) {
    await t.step(name, async () => {
      const host = new FakeHost(token === undefined ? {} : { CULVERT_ADMIN_TOKEN: token });
      const answer = await adminAt(host, "--state-dir", rig.directory.path("sn"), ...words);
      assertEquals([answer.code, answer.out], [code, ""]);
      assertStringIncludes(answer.said.replaceAll('\\"', '"'), says);
    });
  }
});

Deno.test("admin --watch shows a list again and again until it is stopped", async () => {
  await using rig = new Rig();
  await rig.start(supernode, "sn", { region: "north", listen: "127.0.0.1:0" });
  const fake = new FakeHost();
  let times = 0;
  const host: Host = {
    ...fake,
    clock: clockOf(globalThis),
    print(text) {
      fake.print(text);
      if (++times === 2) fake.sendStop();
      return true;
    },
  };
  const words = ["streams", "--watch", "--every", "100ms", "--state-dir", rig.directory.path("sn")];
  assertEquals([await runRole(admin, words, { host }), fake.out], [0, "No streams.\n".repeat(2)]);
});
