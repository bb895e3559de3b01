/** vtcp and both GFK dialects over raw packets between two hosts: what is seen on the wire, and what becomes of it in trouble. */

import { assert, assertEquals } from "@std/assert";
import { RST, SYN } from "../../protocol/tcp_look/flags.ts";
import { type Needs, testWith } from "../../testing/requirements.ts";
import { eventually } from "../../testing/waiting.ts";
import { CLIENT, RawWire, SERVER } from "./fixtures/raw_wire.ts";

const needs: Needs = { netns: true, tools: ["tcpdump", "nft", "ethtool"] };
const FILE = "vtcp_end.ts";
const PORTS = { first: 24_500, count: 4 };
const MOVED = "10.91.0.88";
const RECOVERED_MS = 5000;

const ends: Readonly<Record<string, Record<string, unknown>>> = {
  "our own dialect": { dialect: "ours" },
  "gfk-py": { dialect: "gfk-py" },
  "gfk-go by QUIC": { dialect: "gfk-go" },
  "gfk-go by KCP": { dialect: "gfk-go", transport: "kcp" },
};

function serve(wire: RawWire, end: Record<string, unknown>) {
  return wire.end(wire.server, { ...end, listen: { ports: PORTS } }, FILE);
}

function connect(wire: RawWire, end: Record<string, unknown>) {
  return wire.end(wire.client, { ...end, peer: { host: SERVER.v4, ports: PORTS } }, FILE);
}

for (const [name, end] of Object.entries(ends)) {
  testWith(needs, `${name} carries streams, with right checksums, no SYN and no reset from either side`, async () => {
    await using wire = await RawWire.lay({ isPlain: true });
    await using _server = await serve(wire, end);
    await using client = await connect(wire, end);
    const segments = await wire.seen(wire.server, async () => {
      const { ok, error } = await client.ask(JSON.stringify({ bytes: 300_000 }));
      assertEquals([ok, error], [true, undefined]);
    });
    assert(segments.length > 300, `only ${segments.length} were seen`);
    assertEquals(segments.filter(({ flags }) => (flags & (SYN | RST)) !== 0).length, 0, "a SYN or a reset");
    assertEquals(segments.filter(({ isIntact }) => !isIntact).length, 0, "a wrong checksum");
  });
}

testWith(needs, "a client whose address changes goes on within 5 s, and so does its stream", async () => {
  await using wire = await RawWire.lay();
  const end = { dialect: "ours" };
  await using _server = await serve(wire, end);
  await using client = await connect(wire, end);
  assertEquals((await client.ask(JSON.stringify({ bytes: 1000 }))).ok, true);
  await wire.client.run(["ip", "address", "add", `${MOVED}/24`, "dev", "eth0"]);
  await wire.client.run(["ip", "address", "del", `${CLIENT.v4}/24`, "dev", "eth0"]);
  await wire.client.run(["ip", "address", "replace", `${MOVED}/24`, "dev", "eth0"]);
  const { ok, ms, error } = await client.ask(JSON.stringify({ bytes: 1000, again: true }));
  assertEquals([ok, error], [true, undefined]);
  assert(Number(ms) < RECOVERED_MS, `it took ${ms} ms`);
});

testWith(needs, "a server that is killed and started again is found within 5 s", async () => {
  await using wire = await RawWire.lay();
  const end = { dialect: "ours" };
  await using first = await serve(wire, end);
  await using client = await connect(wire, end);
  assertEquals((await client.ask(JSON.stringify({ bytes: 1000 }))).ok, true);
  first.crash();
  await first.ended();
  await using _second = await serve(wire, end);
  const beganMs = performance.now();
  await eventually("it works again", async () => (await client.ask(JSON.stringify({ bytes: 1000 }))).ok === true);
  const tookMs = performance.now() - beganMs;
  assert(tookMs < RECOVERED_MS, `it took ${tookMs} ms`);
});
