import { assert, assertEquals } from "@std/assert";
import { aborted } from "../../../protocol/abort.ts";
import { parseEndpoint } from "../../../protocol/wireguard/endpoint.ts";
import { FakeClock, settle } from "../../../testing/fake_clock.ts";
import { LogCollector } from "../../../testing/log_collector.ts";
import { SeededRandom } from "../../../testing/seeded_random.ts";
import type { PacketTunnel } from "./packet_tunnel.ts";
import { PacketWay, type PacketWayParts } from "./packet_way.ts";

type Session = ConstructorParameters<typeof PacketWay>[0];

/** A tunnel that is open, as far as a way looks at it. */
function tunnelTo(peerKey: Uint8Array): PacketTunnel {
  const tunnel = {
    ...{ peerKey, offer: {}, addresses: [], nameServers: [], device: {}, gateway: {} },
    way: { kind: "relay", at: parseEndpoint("198.51.100.1:40000")! },
    opened: Promise.resolve(),
    isSame: () => true,
    join() {},
    quieten() {},
    leave: () => Promise.resolve(),
  };
  return tunnel as unknown as PacketTunnel;
}

Deno.test("a session looks for a direct way until another to the same peer is in use, one to another peer goes on", async () => {
  const clock = new FakeClock(), log = new LogCollector(), random = new SeededRandom(1);
  const looking: AbortSignal[] = [];
  const parts = {
    ...{ clock, log, random, routing: {} },
    async startDirect(_way: unknown, signal: AbortSignal) {
      looking.push(signal);
      await aborted(signal);
    },
  } as unknown as PacketWayParts;
  const [exit, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const [first, second, third] = [exit, exit, other].map((key) => new PacketWay({} as Session, parts, tunnelTo(key)));
  for (const way of [first!, second!]) way.taken();
  first!.left(second!);
  assert(looking[0]!.aborted, "at once: whatever it says in the old tunnel draws the exit back there");
  second!.left(third!);
  assert(!looking[1]!.aborted);
  for (const way of [first!, second!, third!]) {
    way.close();
    await way.closed();
  }
  await settle();
  assertEquals([clock.pendingTimers, log.lines.length], [0, 0]);
});
