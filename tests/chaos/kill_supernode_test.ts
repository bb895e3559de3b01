/**
 * kill -9 of a supernode between each pair of steps of each command. The peers are played by the test, over real
 * WebSockets, so it is the test that decides when a command is applied and when it is answered.
 *
 *   queued → persisted → sent → applied by the peer → answered → recorded
 */

import { assertEquals } from "@std/assert";
import type { Command, CommandKind } from "../../protocol/control/commands.ts";
import { encodeBase64, encodeBase64Url } from "../../protocol/encoding.ts";
import type { PlayedPeer } from "../../roles/fixtures/played_peer.ts";
import { eventually } from "../../testing/waiting.ts";
import { StoreLock } from "./fixtures/lock.ts";
import { SupernodeUnderTest } from "./fixtures/supernode.ts";

const newId = () => encodeBase64Url(crypto.getRandomValues(new Uint8Array(16)));
const newKey = () => encodeBase64(crypto.getRandomValues(new Uint8Array(32)));

/** An order of each kind, each for a session of its own. */
function orderOf(kind: CommandKind, { peerId, sessions, identity }: PlayedPeer): object {
  const expiresAtMs = Date.now() + 3_600_000;
  const client = { clientPeerId: peerId, clientWireguardKey: newKey(), expiresAtMs };
  const sessionId = newId();
  const common = { kind, timeoutMs: 600_000 };
  switch (kind) {
    case "SETUP_EXIT":
      return { ...common, sessionId, payload: client };
    case "ROTATE_PEER": {
      sessions.add(sessionId);
      const { publicKey, wireguardKey, signature } = identity.wireguardBinding();
      const exit = {
        peerId,
        publicKey: encodeBase64(publicKey),
        wireguardKey: encodeBase64(wireguardKey),
        wireguardSignature: encodeBase64(signature),
      };
      const next = { sessionId: newId(), exit, region: "here", expiresAtMs };
      return { ...common, sessionId, payload: { reason: "asked", next, drainMs: 0 } };
    }
    case "RELAY_SETUP": {
      const exit = { exitPeerId: peerId, exitWireguardKey: newKey(), relayAddress: "10.0.0.1/32" };
      return { ...common, sessionId, payload: { ...client, ...exit } };
    }
    case "RELAY_UPDATE":
      return { ...common, payload: { reason: "moved", supernodes: [], leaveWithinMs: 0 } };
    case "DISCONNECT":
      return { ...common, sessionId, payload: { reason: "admin" } };
  }
}

const KINDS: readonly CommandKind[] = ["SETUP_EXIT", "ROTATE_PEER", "RELAY_SETUP", "RELAY_UPDATE", "DISCONNECT"];

/** One peer for each kind of command, so that a kill meets all of them at the same step. */
class Rig extends SupernodeUnderTest {
  readonly byKind = new Map<CommandKind, PlayedPeer>();

  async open(): Promise<void> {
    await this.start();
    for (const kind of KINDS) {
      this.byKind.set(kind, await this.addPeer(kind === "ROTATE_PEER" ? "client" : "exit"));
    }
    await this.connected();
  }

  connected(): Promise<void> {
    return eventually("connected peers", () => this.peers.every(({ isOpen }) => isOpen));
  }

  /** Orders one of each; what the supernode would say of it is lost with the supernode. */
  order(): void {
    const stop = new AbortController();
    for (const [kind, peer] of this.byKind) {
      const body = { peerId: peer.peerId, command: orderOf(kind, peer), queue: true };
      this.process.admin("POST", "/v1/commands", body, stop.signal).catch(() => {});
    }
  }

  async restart(): Promise<void> {
    await this.process.kill();
    await this.start();
    await this.connected();
  }

  /** Waits until all are applied, and recorded as such. */
  async recorded(): Promise<void> {
    await eventually("effects", () => this.peers.every(({ effects }) => effects.size === 1));
    await eventually("records", async () => await this.pendingCount() === 0);
  }

  get effects(): number[] {
    return this.peers.flatMap(({ effects }) => [...effects.values()]);
  }

  forget(): void {
    for (const peer of this.peers) {
      peer.effects.clear();
      peer.heard.length = 0;
      peer.beforeApply = () => {};
      peer.beforeAnswer = () => true;
    }
  }
}

const ONCE = KINDS.map(() => 1);

Deno.test("a supernode is killed between each pair of steps of each command: none is applied twice, none is lost", async (test) => {
  await using rig = new Rig();
  await rig.open();

  await test.step("queued: nothing of it was kept, and nobody has been told that it was", async () => {
    using lock = new StoreLock(rig.kvPath);
    rig.order();
    await rig.process.admin("GET", "/v1/streams"); // answered after the orders were taken
    await rig.process.kill();
    lock[Symbol.dispose]();
    await rig.start();
    await rig.connected();
    assertEquals([await rig.pendingCount(), rig.effects], [0, []]);
  });

  await test.step("persisted: the peers are away", async () => {
    rig.forget();
    for (const peer of rig.peers) peer.crash();
    await eventually(
      "an empty supernode",
      async () => (await rig.process.admin("GET", "/v1/streams") as { total: number }).total === 0,
    );
    rig.order();
    await eventually("kept commands", async () => await rig.pendingCount() === KINDS.length);
    await rig.process.kill();
    await rig.start();
    for (const peer of rig.peers) await peer.start();
    await rig.recorded();
    assertEquals(rig.effects, ONCE);
  });

  await test.step("sent: the peers have begun", async () => {
    rig.forget();
    const go = Promise.withResolvers<void>();
    for (const peer of rig.peers) peer.beforeApply = () => go.promise;
    rig.order();
    await eventually("heard commands", () => rig.peers.every(({ heard }) => heard.length === 1));
    await rig.restart();
    await eventually("commands that come again", () => rig.peers.every(({ heard }) => heard.length > 1));
    go.resolve();
    await rig.recorded();
    assertEquals(rig.effects, ONCE);
  });

  await test.step("applied: the answers have not left", async () => {
    rig.forget();
    for (const peer of rig.peers) peer.beforeAnswer = () => false;
    rig.order();
    await eventually("effects", () => rig.effects.length === KINDS.length);
    await rig.process.kill();
    for (const peer of rig.peers) peer.beforeAnswer = () => true;
    await rig.start();
    await rig.recorded();
    assertEquals(rig.effects, ONCE);
  });

  await test.step("answered: the answers have come, and are not recorded", async () => {
    rig.forget();
    const go = Promise.withResolvers<void>();
    for (const peer of rig.peers) peer.beforeApply = () => go.promise;
    const before = await successes(rig);
    rig.order();
    await eventually("heard commands", () => rig.peers.every(({ heard }) => heard.length === 1));
    using lock = new StoreLock(rig.kvPath);
    go.resolve();
    await eventually("answers", async () => await successes(rig) === before + KINDS.length);
    await rig.process.kill();
    lock[Symbol.dispose]();
    await rig.start();
    await rig.recorded();
    assertEquals(rig.effects, ONCE);
  });

  await test.step("recorded: nothing comes again", async () => {
    rig.forget();
    rig.order();
    await rig.recorded();
    const heard = rig.peers.map((peer) => ids(peer.heard));
    await rig.restart();
    // What comes first after this is a new command, so none came before.
    rig.order();
    await eventually("the next commands", () => rig.peers.every(({ effects }) => effects.size === 2));
    for (const [at, peer] of rig.peers.entries()) {
      assertEquals(ids(peer.heard).filter((id) => heard[at]!.includes(id)), heard[at]);
    }
    assertEquals(rig.effects, [...ONCE, ...ONCE]);
  });
});

function ids(commands: readonly Command[]): string[] {
  return commands.map(({ commandId }) => commandId);
}

async function successes(rig: Rig): Promise<number> {
  const text = await rig.process.metrics();
  return [...text.matchAll(/^command_success_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
}
