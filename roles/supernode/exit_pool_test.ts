import { assertEquals } from "@std/assert";
import { MAX_EXIT_REGIONS } from "../../protocol/directory.ts";
import { randomOf } from "../../protocol/random.ts";
import type { AuthenticatedPeer } from "../../protocol/control/stream_server.ts";
import type { Telemetry } from "../../protocol/control/messages.ts";
import { ExitPool, type ExitPoolOptions } from "./exit_pool.ts";

function makePool(changes: Partial<ExitPoolOptions> = {}): ExitPool {
  return new ExitPool({
    supernodeId: "sn",
    random: randomOf(crypto),
    find: () => undefined,
    linkRttMs: () => undefined,
    linkHealth: () => ({ health: 1, latencyMs: undefined }),
    sessionCount: () => 0,
    ...changes,
  });
}

function exit(number: number, region: string): AuthenticatedPeer {
  return { peerId: `exit-${number}`, region } as AuthenticatedPeer;
}

Deno.test("it says where its exits are, and when that changes", () => {
  const pool = makePool();
  assertEquals([pool.add(exit(1, "eu")), pool.add(exit(2, "us")), pool.add(exit(3, "us"))], [true, true, false]);
  assertEquals([pool.regions, pool.size], [["us", "eu"], 3]);
  assertEquals([pool.remove(exit(2, "us")), pool.remove(exit(3, "us")), pool.remove(exit(3, "us"))], [
    false,
    true,
    false,
  ]);
  assertEquals([pool.regions, pool.size], [["eu"], 1]);
});

Deno.test("an exit carries packets if it says so, and has addresses to give", () => {
  const rows: [Telemetry | undefined, true | undefined][] = [
    [undefined, undefined],
    [{}, undefined],
    [{ packets: { spareClients: 0 } }, undefined],
    [{ packets: { spareClients: 1 } }, true],
  ];
  for (const [telemetry, carriesPackets] of rows) {
    const pool = makePool({ find: () => ({ peer: exit(1, "eu"), telemetry }), linkRttMs: () => 1 });
    assertEquals(pool.candidate("exit-1")!.carriesPackets, carriesPackets);
  }
});

Deno.test("of too many regions those with the most exits are told", () => {
  const pool = makePool();
  for (let number = 0; number < 2 * MAX_EXIT_REGIONS; number++) pool.add(exit(number, `r${number}`));
  pool.add(exit(1000, "r30"));
  assertEquals([pool.regions.length, pool.regions[0]], [MAX_EXIT_REGIONS, "r30"]);
});
