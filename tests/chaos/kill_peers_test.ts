/**
 * kill -9 of an exit and of a client while they carry out a command. What they have applied they keep in their state
 * directory; the supernode is played by the test, and asks again.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { FakeSupernode } from "../../net/fixtures/fake_supernode.ts";
import type { CommandOrder, SessionOffer } from "../../protocol/control/commands.ts";
import { encodeBase64, encodeBase64Url } from "../../protocol/encoding.ts";
import { eventually } from "../../testing/waiting.ts";
import { StoreLock } from "./fixtures/lock.ts";
import { helloAtLast, Processes, type RoleProcess } from "./fixtures/processes.ts";

const newId = () => encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)));
const IN_TIME_MS = 60_000;

function setUp(
  clientPeerId: string,
  keys: Pick<SessionOffer["exit"], "wireguardKey">,
  sessionId: string,
): CommandOrder {
  return {
    kind: "SETUP_EXIT",
    commandId: newId(),
    sessionId,
    timeoutMs: IN_TIME_MS,
    payload: { clientPeerId, clientWireguardKey: keys.wireguardKey, expiresAtMs: Date.now() + 600_000 },
  };
}

/** Commands of a process that were answered as applied. */
async function appliedCount(process: RoleProcess): Promise<number> {
  const counts = (await process.metrics()).matchAll(/^peer_commands_total\{.*status="applied"\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

Deno.test("an exit is killed before it has begun a command and after it has applied one: it serves what it has been told to", async () => {
  await using processes = new Processes();
  await using supernode = new FakeSupernode();
  const start = () => processes.start("exit", "exit", ["--region", "there", "--supernode", supernode.setting]);
  let exit = await start();
  const store = `${exit.stateDir}/exit.kv`;
  const { peerId } = exit;
  const keys = { wireguardKey: encodeBase64(crypto.getRandomValues(new Uint8Array(32))) };
  const [first, second] = [newId(), newId()];
  const isServing = (count: number) =>
    eventually("sessions", async () => (await exit.metrics()).includes(`exit_sessions_active ${count}\n`));

  /** Killed while the store keeps it from beginning; then started again. */
  async function killBeforeBeginning(order: CommandOrder): Promise<void> {
    const lock = new StoreLock(store);
    const done = supernode.command(peerId, order);
    await exit.metrics(); // answered after the command has come
    await exit.kill();
    lock[Symbol.dispose]();
    exit = await start();
    assertEquals((await done).kind, "done");
  }

  await killBeforeBeginning(setUp(peerId, keys, first));
  await isServing(1);
  assertEquals((await supernode.command(peerId, setUp(peerId, keys, second))).kind, "done");
  await exit.kill();
  exit = await start();
  assertEquals(supernode.auths.at(-1)!.lastSequence, 2);
  await isServing(2);
  assertEquals(await appliedCount(exit), 0);
  await killBeforeBeginning({
    kind: "DISCONNECT",
    commandId: newId(),
    sessionId: first,
    timeoutMs: IN_TIME_MS,
    payload: { reason: "client_left" },
  });
  await isServing(1);
  assertEquals(await appliedCount(exit), 1);
});

Deno.test("a client is killed in the middle of a ROTATE_PEER: the next process refuses it, ends what was left, and has an exit", async () => {
  await using processes = new Processes();
  await using supernode = new FakeSupernode();
  const exit = await processes.start("exit", "exit", ["--region", "there", "--supernode", supernode.setting]);
  const ended: string[] = [];
  const peerOf = (peerId: string) => supernode.auths.findLast(({ peer }) => peer.peerId === peerId)!.peer;

  async function offerTo(clientPeerId: string): Promise<SessionOffer> {
    const sessionId = newId();
    const done = await supernode.command(exit.peerId, setUp(clientPeerId, peerOf(clientPeerId), sessionId));
    assertEquals(done.kind, "done");
    supernode.sessions.set(sessionId, exit.peerId);
    return { sessionId, exit: peerOf(exit.peerId), region: "there", expiresAtMs: Date.now() + 600_000 };
  }
  supernode.answer = async ({ what, requestId, ...request }, { peerId, role }) => {
    const head = { type: "info.response", requestId } as const;
    if (what === "exit") return { ...head, what, session: await offerTo(peerId) };
    if (what !== "end_session") {
      return { ...head, what: "sessions", sessionIds: role === "client" ? [...supernode.sessions.keys()] : [] };
    }
    const { sessionId } = request as { sessionId: string };
    ended.push(sessionId);
    supernode.sessions.delete(sessionId);
    return { ...head, what };
  };
  const start = () =>
    processes.start("client", "client", ["--listen", "127.0.0.1:0", "--supernode", supernode.setting]);
  let client = await start();
  assertStringIncludes(await helloAtLast(client.addresses["listen"]!), exit.peerId);

  const [present] = supernode.sessions.keys();
  const next = await offerTo(client.peerId);
  const lock = new StoreLock(`${client.stateDir}/client.kv`);
  const rotated = supernode.command(client.peerId, {
    kind: "ROTATE_PEER",
    commandId: newId(),
    sessionId: present!,
    timeoutMs: IN_TIME_MS,
    payload: { reason: "asked", next, drainMs: 0 },
  });
  await client.metrics(); // answered after the command has come
  await client.kill();
  lock[Symbol.dispose]();
  client = await start();
  const outcome = await rotated;
  assertEquals(outcome.kind === "failed" && outcome.result?.code, "unknown_session");
  await eventually("an end of what was left", () => [present!, next.sessionId].every((id) => ended.includes(id)));
  assertStringIncludes(await helloAtLast(client.addresses["listen"]!), exit.peerId);
});
