import { assert, assertEquals } from "@std/assert";
import { parseIp } from "../../../protocol/ip.ts";
import { silentLog } from "../../../protocol/log.ts";
import { formatEndpoint } from "../../../protocol/wireguard/endpoint.ts";
import { FakeClock } from "../../../testing/fake_clock.ts";
import { SeededRandom } from "../../../testing/seeded_random.ts";
import type { OpenProbePort } from "../../packets/probe_port.ts";
import { RelayKnocks } from "./relay_knocks.ts";

const client = { key: new Uint8Array(32).fill(1), relayAt: { address: parseIp("192.0.2.1")!, port: 40_000 } };

function open(openPort: OpenProbePort) {
  const clock = new FakeClock();
  const knocks = new RelayKnocks({ listenPort: 7, clock, random: new SeededRandom(1), log: silentLog, openPort });
  return { clock, knocks };
}

Deno.test("a knock is repeated for a few seconds, from the device's port, and not after the end", async () => {
  const sent: string[] = [];
  let isOpen = false;
  const { clock, knocks } = open(({ port }) => {
    assertEquals([port, isOpen], [7, false]);
    isOpen = true;
    return {
      port,
      send: (bytes, to) => sent.push(`${bytes.length} to ${formatEndpoint(to)}`) > 0,
      sourceTo: () => undefined,
      [Symbol.asyncDispose]: () => Promise.resolve(void (isOpen = false)),
    };
  });
  assert(knocks.knock(client));
  await clock.advance(10_000);
  assertEquals(sent, new Array(7).fill("148 to 192.0.2.1:40000"));
  assert(knocks.knock(client));
  await knocks[Symbol.asyncDispose]();
  await clock.advance(10_000);
  assertEquals([sent.length, isOpen], [8, false]);
});

Deno.test("where there can be no raw socket it is said, and tried once", async () => {
  let tries = 0;
  const { knocks } = open(() => {
    tries++;
    throw new Error("EPERM");
  });
  assert(!knocks.knock(client));
  assert(!knocks.knock(client));
  assertEquals(tries, 1);
  await knocks[Symbol.asyncDispose]();
});
