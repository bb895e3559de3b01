/**
 * A supernode that is killed at each of its writes, just before it is kept and just after, while sessions come, move and
 * go and commands of every kind are under way. Of sessions that carry packets the ports are those of the sessions, whenever
 * everybody agrees on which there are.
 */

import { assert } from "@std/assert";
import type { CommandOrder } from "../../protocol/control/commands.ts";
import type { ExitWish } from "../../protocol/control/messages.ts";
import { CARRIES } from "../../protocol/control/packets.ts";
import { CrashWorld, haveExit, leave, type PlannedCrash } from "../fixtures/crash_world.ts";
import type { PlayedPeer } from "../fixtures/played_peer.ts";

function ordersTo(world: CrashWorld, exit: PlayedPeer): CommandOrder[] {
  const { identity } = exit;
  const key = Array.from({ length: 43 }, () => "A").join("") + "=";
  const expiresAtMs = world.clock.wallNow() + 3_600_000;
  const session = { clientPeerId: identity.peerId, clientWireguardKey: key, expiresAtMs };
  const relay = { ...session, exitPeerId: identity.peerId, exitWireguardKey: key, relayAddress: "10.0.0.1/32" };
  const common = () => ({ commandId: world.newId(), timeoutMs: 600_000 });
  return [
    { ...common(), kind: "RELAY_SETUP", sessionId: world.newId(), payload: relay },
    { ...common(), kind: "RELAY_UPDATE", payload: { reason: "moved", supernodes: [], leaveWithinMs: 0 } },
    { ...common(), kind: "DISCONNECT", sessionId: world.newId(), payload: { reason: "admin" } },
  ];
}

/** Handshakes show where the sides of a session are, and that is kept, unless it is killed meanwhile. */
async function learn(world: CrashWorld, sessionId: string): Promise<void> {
  if (!world.relay.sessions.has(sessionId)) return;
  for (const side of ["client", "exit"] as const) {
    world.relay.learn(sessionId, side, { address: new Uint8Array([192, 0, 2, 1]), port: 5000 });
    await world.clock.advanceAsync(2_000);
  }
  await world.until("a supernode", () => world.supernode !== undefined);
}

/** The whole life of a session, with an exit that fails in the middle; gives how many writes that took. */
async function live(wish: ExitWish, crash?: PlannedCrash): Promise<{ writes: number; hasCrashed: boolean }> {
  await using world = new CrashWorld(crash);
  await world.start();
  const exits = [await world.addPeer("exit"), await world.addPeer("exit")];
  const client = await world.addPeer("client");
  await world.until("links", () => exits.every((exit) => exit.isOpen && exit.isLinked));
  await haveExit(world, client, wish);
  await world.untilAgreed(client);

  const [sessionId] = client.sessions;
  await learn(world, sessionId!);
  const failed = exits.find((exit) => exit.sessions.has(sessionId!))!;
  failed.crash();
  await world.until("a rotation", () => !client.sessions.has(sessionId!));
  await failed.start();
  await world.untilAgreed(client);

  for (const order of ordersTo(world, exits[0]!)) world.order(exits[0]!, order);
  await world.untilAgreed(client);
  await leave(world, client);
  await world.untilAgreed(client);
  await world.until("no places", async () => (await world.stores.relayAddresses.list()).length === 0);
  world.checkCommands();
  return { writes: world.writes, hasCrashed: world.hasCrashed };
}

for (const when of ["before", "after"] as const) {
  for (const carries of CARRIES) {
    Deno.test(`killed ${when} any of its writes, a supernode carries on with ${carries}: nothing is applied twice, lost or left behind`, async (test) => {
      const { writes } = await live({ carries });
      assert(writes > 20);
      for (let at = 1; at <= writes; at++) {
        await test.step(`write ${at}`, async () => assert((await live({ carries }, { at, when })).hasCrashed));
      }
    });
  }
}
