/** Two processes with one supernode's identity on one store: the newer goes on, the older stops, and says why. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { encodeBase64Url } from "../../protocol/encoding.ts";
import { freePort } from "../../testing/program.ts";
import { eventually } from "../../testing/waiting.ts";
import type { RoleProcess } from "./fixtures/processes.ts";
import { SupernodeUnderTest } from "./fixtures/supernode.ts";

/** A second process on the same state directory and store, at a port of its own. */
function startAnother(first: SupernodeUnderTest): Promise<RoleProcess> {
  const listen = ["--listen", `127.0.0.1:${freePort()}`, "--admin-listen", "127.0.0.1:0"];
  return first.processes.start("supernode", "supernode", ["--region", "here", "--kv", first.kvPath, ...listen]);
}

function disconnect(peerId: string): object {
  const sessionId = encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)));
  const command = { kind: "DISCONNECT", sessionId, payload: { reason: "admin" }, timeoutMs: 60_000 };
  return { peerId, command, queue: true };
}

Deno.test("of two processes with one identity on one store the newer goes on, and the older stops and says why", async () => {
  await using older = new SupernodeUnderTest();
  await older.start();
  const peer = await older.addPeer("client");
  await eventually("a connected peer", () => peer.isOpen);

  const newer = await startAnother(older);
  assertEquals(newer.peerId, older.process.peerId);
  assertEquals(await older.process.program.ended(), 1);
  const log = await older.process.log();
  assertStringIncludes(log, "overtaken");
  assertStringIncludes(log, `process ${newer.program.pid} has taken over its identity on this store`);
  await eventually("a peer that has been let go of", () => !peer.isOpen);
  assertEquals((await newer.failing())["store"], undefined);
});

Deno.test("what the older process does before it has noticed is not kept, and nobody is told to do it", async () => {
  await using older = new SupernodeUnderTest();
  await older.start();
  const peer = await older.addPeer("client");
  await eventually("a connected peer", () => peer.isOpen);

  const { program } = older.process;
  Deno.kill(program.pid, "SIGSTOP");
  const newer = await startAnother(older);
  const order = older.process.admin("POST", "/v1/commands", disconnect(peer.peerId)).catch(() => {});
  Deno.kill(program.pid, "SIGCONT");
  assertEquals(await program.ended(), 1);
  await order;
  assertEquals([await older.pendingCount(), peer.heard.length], [0, 0]);
  assertEquals((await newer.failing())["store"], undefined);
});
