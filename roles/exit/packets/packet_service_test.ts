/** What the device is told of sessions, and what they are granted; without a network. */

import { assertEquals, assertRejects } from "@std/assert";
import { encodeBase64 } from "../../../protocol/encoding.ts";
import { CulvertError } from "../../../protocol/errors.ts";
import { parseIp } from "../../../protocol/ip.ts";
import { formatEndpoint } from "../../../protocol/wireguard/endpoint.ts";
import { FakeClock, settle } from "../../../testing/fake_clock.ts";
import { FakePackets } from "./fixtures/fake_packets.ts";
import type { PacketOrder } from "./packet_service.ts";

const keyOf = (number: number) => encodeBase64(new Uint8Array(32).fill(number));
const signal = new AbortController().signal;

function order(sessionId: string, client: number, more: Partial<PacketOrder> & { relay?: string } = {}): PacketOrder {
  const { relay = "192.0.2.1:40000", ...rest } = more;
  return { sessionId, clientKey: keyOf(client), setup: { relay }, wishes: [], ...rest };
}

Deno.test("a session is a peer at its relay with its own addresses, and is granted what its interface is to have", async () => {
  const fake = new FakePackets(new FakeClock());
  const granted = await fake.service.setUp(order("a", 1, { wishes: ["10.201.3.4/32"] }), signal);
  assertEquals(granted, {
    relay: "192.0.2.1:40000",
    grant: { addresses: ["10.201.3.4/32"], gateways: ["10.201.0.1"], dns: ["10.201.0.1"], mtu: 1420 },
  });
  assertEquals([...fake.peers], [[keyOf(1), { endpoint: "192.0.2.1:40000", allowedIps: ["10.201.3.4/32"] }]]);
  assertEquals(fake.service.granted("a"), granted);
  assertEquals(fake.service.clientAt(parseIp("10.201.3.4")!)?.relayAt, { address: parseIp("192.0.2.1")!, port: 40000 });
  await fake.service.remove("a");
  assertEquals([fake.peers.size, fake.service.granted("a"), fake.service.telemetry.spareClients], [
    0,
    undefined,
    65533,
  ]);
});

Deno.test("the same order again changes nothing; another relay has the device begin anew there", async () => {
  const fake = new FakePackets(new FakeClock());
  const first = await fake.service.setUp(order("a", 1), signal);
  const told = fake.told.length;
  assertEquals(await fake.service.setUp(order("a", 1), signal), first);
  assertEquals(fake.told.length, told);
  const moved = await fake.service.setUp(order("a", 1, { relay: "[2001:db8::1]:7" }), signal);
  assertEquals(moved, { relay: "[2001:db8::1]:7", grant: first.grant });
  assertEquals(fake.told.slice(told), ["remove", "set"]);
  assertEquals(fake.peers.get(keyOf(1))?.endpoint, "[2001:db8::1]:7");
});

Deno.test("a client that gets another relay keeps its keys where this machine can knock there", async () => {
  const fake = new FakePackets(new FakeClock());
  const knocked: string[] = [];
  fake.service.knock = ({ relayAt }) => knocked.push(formatEndpoint(relayAt)) > 0;
  await fake.service.setUp(order("a", 1), signal);
  const told = fake.told.length;
  await fake.service.setUp(order("b", 1, { relay: "192.0.2.2:40001" }), signal);
  assertEquals([knocked, fake.told.slice(told)], [["192.0.2.2:40001"], []]);
  assertEquals(fake.peers.get(keyOf(1))?.endpoint, "192.0.2.1:40000");
});

Deno.test("a client that was knocked for and has not come when its old session ends is looked for at its new relay", async () => {
  const fake = new FakePackets(new FakeClock());
  fake.service.knock = () => true;
  await fake.service.setUp(order("a", 1), signal);
  await fake.service.setUp(order("b", 1, { relay: "192.0.2.2:40001" }), signal);
  await fake.service.remove("a");
  assertEquals(fake.peers.get(keyOf(1))?.endpoint, "192.0.2.2:40001");
  await fake.service.setUp(order("c", 1, { relay: "192.0.2.3:40002" }), signal);
  fake.peers.set(keyOf(1), { endpoint: "198.51.100.1:9", allowedIps: [] });
  const told = fake.told.length;
  await fake.service.remove("b");
  assertEquals(fake.told.length, told, "it has come, or is direct");
});

Deno.test("a session that changes hands leaves its first client nothing", async () => {
  const fake = new FakePackets(new FakeClock());
  await fake.service.setUp(order("a", 1), signal);
  await fake.service.setUp(order("a", 2), signal);
  assertEquals([...fake.peers.keys()], [keyOf(2)]);
});

Deno.test("a client goes back to its session before when the newest ends, and no further when an older one does", async () => {
  const fake = new FakePackets(new FakeClock());
  for (const number of [1, 2, 3]) {
    await fake.service.setUp(order(`${number}`, 1, { relay: `192.0.2.1:${number}` }), signal);
  }
  await fake.service.remove("1");
  assertEquals(fake.peers.get(keyOf(1))?.endpoint, "192.0.2.1:3");
  await fake.service.remove("3");
  assertEquals(fake.peers.get(keyOf(1))?.endpoint, "192.0.2.1:2");
  await fake.service.remove("2");
  assertEquals(fake.peers.size, 0);
});

Deno.test("what holds for one client is not held against a supernode that has many", async () => {
  const fake = new FakePackets(new FakeClock());
  const setup = { relay: "192.0.2.1:1", isTerminated: true };
  const { grant } = await fake.service.setUp(order("a", 1, { setup, wishes: ["10.201.9.9/32"] }), signal);
  assertEquals(grant.addresses, ["10.201.9.9/32"]);
  await fake.service.setUp(order("b", 1, { setup }), signal);
  await fake.service.setUp(order("c", 2), signal);
  assertEquals([...fake.shared], ["10.201.9.9"]);
  await fake.service.remove("a");
  assertEquals(fake.shared.size, 1);
  await fake.service.remove("b");
  assertEquals(fake.shared.size, 0);
});

Deno.test("a device that refuses leaves nothing of the session behind, and others as they were", async () => {
  const fake = new FakePackets(new FakeClock(), { pool: "10.7.7.0/29" });
  await fake.service.setUp(order("a", 1), signal);
  fake.isBroken = true;
  await assertRejects(() => fake.service.setUp(order("b", 2), signal), Error, "broken");
  assertEquals([fake.service.granted("b"), fake.service.telemetry.spareClients], [undefined, 4]);
  fake.isBroken = false;
  await fake.service.setUp(order("b", 2), signal);
  assertEquals(fake.peers.size, 2);
});

Deno.test("without an address left a client is refused", async () => {
  const fake = new FakePackets(new FakeClock(), { pool: "10.7.7.0/29" });
  for (let client = 1; client <= 5; client++) await fake.service.setUp(order(`${client}`, client), signal);
  const error = await assertRejects(() => fake.service.setUp(order("6", 6), signal), CulvertError);
  assertEquals([error.code, fake.service.telemetry.spareClients], ["no_address", 0]);
});

Deno.test("a relay's name is looked up, but not for ever", async () => {
  const clock = new FakeClock();
  const names: Record<string, Promise<Uint8Array<ArrayBuffer>[]>> = {
    "sn.example": Promise.resolve([parseIp("192.0.2.9")!]),
    "nobody.example": Promise.resolve([]),
    "slow.example": new Promise(() => {}),
    "inside.example": Promise.resolve([parseIp("10.201.9.9")!]),
  };
  const fake = new FakePackets(clock, { lookup: (name) => names[name]! });
  await fake.service.setUp(order("a", 1, { relay: "sn.example:7" }), signal);
  assertEquals(fake.peers.get(keyOf(1))?.endpoint, "192.0.2.9:7");
  for (
    const relay of [
      ...["nobody.example:7", "sn.example:0", "sn.example", ""],
      ...["inside.example:7", "10.201.0.5:7", "224.0.0.1:7", "255.255.255.255:7", "0.0.0.0:7", "[::]:7", "[ff02::1]:7"],
    ]
  ) {
    const error = await assertRejects(() => fake.service.setUp(order("b", 2, { relay }), signal), CulvertError);
    assertEquals(error.code, "bad_relay", relay);
  }
  const late = assertRejects(
    () => fake.service.setUp(order("b", 2, { relay: "slow.example:7" }), signal),
    CulvertError,
  );
  await settle();
  await clock.advance(5_000);
  assertEquals((await late).code, "bad_relay");
});

Deno.test("it is drained once the last session has ended, or when there is no more time", async () => {
  const fake = new FakePackets(new FakeClock());
  await fake.service.drained(signal);
  await fake.service.setUp(order("a", 1), signal);
  await fake.service.setUp(order("b", 2), signal);
  let isDrained = false;
  const drained = fake.service.drained(signal).then(() => isDrained = true);
  await fake.service.remove("a");
  await settle();
  assertEquals(isDrained, false);
  await fake.service.remove("b");
  await drained;
  await fake.service.setUp(order("c", 3), signal);
  await fake.service.drained(AbortSignal.abort());
});
