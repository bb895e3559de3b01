/**
 * Packets that look like TCP, on a wire: the fields of each look exactly, checksums, and what must not be seen: a SYN that
 * nobody asked for, and a reset from either kernel.
 */

import { assert, assertEquals } from "@std/assert";
import { ACK, parseFlags, PSH, RST, SYN } from "../../protocol/tcp_look/flags.ts";
import { type LookName, lookNames } from "../../protocol/tcp_look/look_name.ts";
import type { Needs } from "../../testing/requirements.ts";
import { testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { BEHIND_ROUTER, CLIENT, RawWire, ROUTER, type SeenSegment, SERVER } from "./fixtures/raw_wire.ts";

const needs: Needs = { netns: true, tools: ["tcpdump", "nft", "ethtool"] };
const PORT = 45_000;
/** Where the client goes. */
const MOVED = "10.91.0.88";

/** What each look promises of the packets from one end. */
const promises: Record<LookName, (segments: SeenSegment[], isFromServer: boolean) => void> = {
  "ours"(segments) {
    for (const [index, { flags, sequence, window, timestamp }] of segments.entries()) {
      assertEquals(flags & ~PSH, ACK);
      assertEquals(window, 65_535);
      assert(timestamp);
      const before = segments[index - 1];
      if (before) {
        assertEquals(sequence, (before.sequence + before.payloadBytes) >>> 0, "the sequence rises by what was sent");
      }
    }
  },
  "paqet"(segments) {
    for (const [index, { flags, sequence, acknowledgement, window, timestamp, packet, isV6 }] of segments.entries()) {
      assertEquals([flags, window], [PSH | ACK, 65_535]);
      const tos = isV6 ? (packet[0]! << 4 | packet[1]! >> 4) & 0xff : packet[1];
      assertEquals(tos, 184);
      if (!isV6) assertEquals([...packet.subarray(4, 9)], [0, 0, 0x40, 0, 64]);
      const count = index + 1;
      assertEquals((sequence - segments[0]!.sequence) >>> 0, index << 7);
      assertEquals(acknowledgement, (sequence - (count & 0x3ff) + 1400) >>> 0);
      assertEquals(timestamp![1], (timestamp![0] - (count % 200 + 50)) >>> 0);
    }
  },
  "gfk-py"(segments, isFromServer) {
    for (const { flags, sequence, acknowledgement, window, packet, tcpAt } of segments) {
      assertEquals([flags, sequence, acknowledgement, window], [PSH | ACK, isFromServer ? 1 : 0, 0, 8192]);
      assertEquals([...packet.subarray(tcpAt + 20, tcpAt + 32)], [2, 4, 5, 0, 3, 3, 8, 4, 2, 0, 0, 0]);
      assertEquals([...packet.subarray(4, 9)], [0, 1, 0, 0, 64]);
    }
  },
  "gfk-go"(segments) {
    for (const { flags, sequence, acknowledgement, window, packet, tcpAt, payloadAt } of segments) {
      assertEquals([flags, sequence, acknowledgement, window], [PSH | ACK, 1, 1, 65_535]);
      assertEquals([payloadAt - tcpAt, packet[6]! & 0x40, packet[8]], [20, 0x40, 64]);
    }
  },
};

for (const look of lookNames) {
  testWith(needs, `on the wire ${look} is what it says, with right checksums, no SYN and no reset`, async () => {
    await using wire = await RawWire.lay({ isPlain: true });
    await using server = await wire.end(wire.server, { look, listen: { ports: PORT } });
    await using client = await wire.end(wire.client, { look, peer: { host: SERVER.v4, ports: PORT } });
    const segments = await wire.seen(wire.server, async () => {
      await assertAllBack(client, { count: 200, bytes: 1001 });
      await assertAllBack(client, { count: 40, bytes: 1400 });
    });
    assertEquals(segments.length, 480);
    assertClean(segments);
    const fromServer = segments.filter(({ sourcePort }) => sourcePort === PORT);
    promises[look](fromServer, true);
    promises[look](segments.filter(({ sourcePort }) => sourcePort !== PORT), false);
    assertEquals(fromServer.length, 240);
    assertEquals((await server.ask("")).strange, 0);
  });
}

for (const send of ["ip", "packet"]) {
  for (const look of ["ours", "paqet"]) {
    testWith(needs, `IPv6: ${look} by ${send} goes both ways, with right checksums and no reset`, async () => {
      await using wire = await RawWire.lay({ isPlain: true });
      await using _server = await wire.end(wire.server, { look, send, listen: { ports: PORT } });
      await using client = await wire.end(wire.client, { look, send, peer: { host: SERVER.v6, ports: PORT } });
      const segments = await wire.seen(wire.client, () => assertAllBack(client, { count: 100, bytes: 1400 }));
      assertEquals(segments.length, 200);
      assertClean(segments);
    });
  }
}

testWith(needs, "long packets arrive as the datagrams that were sent, on interfaces that leave them long", async () => {
  await using wire = await RawWire.lay();
  await using server = await wire.end(wire.server, { listen: { ports: PORT } });
  await using client = await wire.end(wire.client, { peer: { host: SERVER.v4, ports: PORT } });
  const segments = await wire.seen(wire.server, () => assertAllBack(client, { count: 320, bytes: 1403 }));
  assert(segments.some(({ payloadBytes }) => payloadBytes > 1500), "none was long");
  const { receivedPackets, truncatedFrames } = await server.ask("");
  assertEquals([receivedPackets, truncatedFrames], [320, 0]);
});

for (const look of lookNames) {
  testWith(needs, `${look} gets through a router that translates addresses, and back`, async () => {
    await using wire = await RawWire.lay({ hasRouter: true });
    await using server = await wire.end(wire.server, { look, listen: { ports: PORT } });
    await using client = await wire.end(wire.client, { look, peer: { host: BEHIND_ROUTER, ports: PORT } });
    await assertAllBack(client, { count: 200, bytes: 1400 });
    const { places } = await server.ask("") as { places: string[] };
    assertEquals(places.map((place) => place.split(":")[0]), [ROUTER]);
  });
}

testWith(needs, "a span of ports: each is answered from itself, and a client takes turns", async () => {
  await using wire = await RawWire.lay();
  const span = { first: PORT, count: 8 };
  await using server = await wire.end(wire.server, { look: "gfk-go", listen: { ports: span } });
  await using client = await wire.end(wire.client, { look: "gfk-go", peer: { host: SERVER.v4, ports: span } });
  const ports = Array.from({ length: 8 }, (_, index) => PORT + index);
  await assertAllBack(client, { count: 64, bytes: 500, ports });
  const { places } = await server.ask("") as { places: string[] };
  assertEquals(places.length, 8);
});

testWith(needs, "a server answers from the address that was asked, not from the one it would choose", async () => {
  await using wire = await RawWire.lay();
  const second = "10.91.0.77";
  await wire.server.run(["ip", "address", "add", `${second}/24`, "dev", "eth0"]);
  for (const send of ["ip", "packet"]) {
    await using _server = await wire.end(wire.server, { send, listen: { ports: PORT } });
    await using client = await wire.end(wire.client, { send, peer: { host: second, ports: PORT } });
    // The client takes nothing from another address.
    await assertAllBack(client, { count: 10, bytes: 100 });
  }
});

for (const send of ["ip", "packet"]) {
  testWith(needs, `by ${send} packets go through a tunnel, whose frames have no link header`, async () => {
    await using wire = await RawWire.lay();
    const far = await wire.tunnel(1400);
    await using _server = await wire.end(wire.server, { send, listen: { ports: PORT } });
    await using client = await wire.end(wire.client, { send, peer: { host: far, ports: PORT } });
    await assertAllBack(client, { count: 100, bytes: 1348 });
    const { back, lost, maxPayloadBytes } = await client.ask(JSON.stringify({ count: 32, bytes: 1349 }));
    assertEquals({ back, lost, maxPayloadBytes }, { back: 0, lost: 32, maxPayloadBytes: 1348 });
  });
}

for (const send of ["ip", "packet"]) {
  testWith(needs, `a client by ${send} whose address changes goes on from the new one`, async () => {
    await using wire = await RawWire.lay();
    await using server = await wire.end(wire.server, { send, listen: { ports: PORT } });
    await using client = await wire.end(wire.client, { send, peer: { host: SERVER.v4, ports: PORT } });
    await assertAllBack(client, { count: 10, bytes: 100 });
    await wire.client.run(["ip", "address", "add", `${MOVED}/24`, "dev", "eth0"]);
    await wire.client.run(["ip", "address", "del", `${CLIENT.v4}/24`, "dev", "eth0"]);
    // With the first address goes what was its second; it comes back as the first.
    await wire.client.run(["ip", "address", "replace", `${MOVED}/24`, "dev", "eth0"]);
    // What still leaves from the old address is as if from somebody else.
    await eventually("it leaves from the new address", async () => {
      await client.ask(JSON.stringify({ count: 1, bytes: 100 }));
      const { places } = await server.ask("") as { places: string[] };
      return places.some((place) => place.startsWith(`${MOVED}:`));
    });
    await assertAllBack(client, { count: 10, bytes: 100 });
  });
}

testWith(needs, "flags take turns on the wire", async () => {
  await using wire = await RawWire.lay({ isPlain: true });
  const options = { look: "paqet", flags: ["PA", "A", "S", "FPU"] };
  await using _server = await wire.end(wire.server, { ...options, flags: ["A"], listen: { ports: PORT } });
  await using client = await wire.end(wire.client, { ...options, peer: { host: SERVER.v4, ports: PORT } });
  const segments = await wire.seen(wire.server, () => assertAllBack(client, { count: 8, bytes: 100 }));
  const flagsTo = (isToServer: boolean) =>
    segments.filter(({ destinationPort }) => isToServer === (destinationPort === PORT)).map(({ flags }) => flags);
  assertEquals(flagsTo(true), [...options.flags, ...options.flags].map(parseFlags));
  assertEquals(flagsTo(false), Array(8).fill(ACK));
  assert(segments.every(({ isIntact }) => isIntact));
});

testWith(needs, "a server that is sent garbage neither answers nor dies", async () => {
  await using wire = await RawWire.lay({ isPlain: true });
  await using server = await wire.end(wire.server, { listen: { ports: PORT } });
  await using client = await wire.end(wire.client, { peer: { host: SERVER.v4, ports: PORT } });
  const garbage = ["tests/netns/fixtures/garbage_sender.ts", CLIENT.v4, SERVER.v4, `${PORT}`];
  const segments = await wire.seen(wire.server, () => wire.runDeno(wire.client, garbage));
  assert(segments.length > 100, `only ${segments.length} were seen`);
  assertEquals(segments.filter(({ sourcePort }) => sourcePort === PORT), []);
  const { refusedPackets, strange, places } = await server.ask("");
  assert(Number(refusedPackets) > 100 && Number(strange) > 100, `${refusedPackets} were refused, ${strange} strange`);
  assertEquals(places, []);
  await assertAllBack(client, { count: 10, bytes: 100 });
});

testWith(needs, "what comes for a client that has ended is not answered with resets", async () => {
  await using wire = await RawWire.lay({ isPlain: true });
  await using _server = await wire.end(wire.server, { listen: { ports: PORT } });
  await using client = await wire.end(wire.client, { peer: { host: SERVER.v4, ports: PORT } });
  let port = 0;
  const before = await wire.seen(wire.server, () => assertAllBack(client, { count: 10, bytes: 100 }));
  for (const { sourcePort, destinationPort } of before) if (destinationPort === PORT) port = sourcePort;
  assert(port > 0);
  await client.ask("close");
  const late = ["tests/netns/fixtures/garbage_sender.ts", SERVER.v4, CLIENT.v4, `${port}`];
  const segments = await wire.seen(wire.server, () => wire.runDeno(wire.server, late));
  assert(segments.length > 100, `only ${segments.length} were seen`);
  assertEquals(segments.filter(({ sourcePort }) => sourcePort === port), []);
});

async function assertAllBack(
  client: Awaited<ReturnType<RawWire["end"]>>,
  what: Record<string, unknown>,
): Promise<void> {
  const { back, wrong, lost } = await client.ask(JSON.stringify(what));
  assertEquals({ back, wrong, lost }, { back: what.count, wrong: 0, lost: 0 });
}

/** What no look lets happen. */
function assertClean(segments: readonly SeenSegment[]): void {
  assertEquals(segments.filter(({ flags }) => (flags & (SYN | RST)) !== 0).length, 0, "a SYN or a reset");
  assertEquals(segments.filter(({ isIntact }) => !isIntact).length, 0, "a wrong checksum");
  assertEquals(segments.filter(({ payloadBytes }) => payloadBytes === 0).length, 0, "a packet of the kernel's TCP");
}
