/** paqet in packets that look like TCP, between two hosts: what it carries, and how its packets look. */

import { assert, assertEquals } from "@std/assert";
import { parseFlags, RST, SYN } from "../../protocol/tcp_look/flags.ts";
import { Program } from "../../testing/program.ts";
import { type Needs, testWith } from "../../testing/requirements.ts";
import { denoCommand } from "./fixtures/machine.ts";
import { RawWire, SERVER } from "./fixtures/raw_wire.ts";

const needs: Needs = { netns: true, tools: ["tcpdump", "nft", "ethtool"] };
const PORT = 9999;
const BYTES = 300_000;

testWith(
  needs,
  "paqet carries streams and datagrams, its packets look as each end wishes, and no kernel resets",
  async () => {
    await using wire = await RawWire.lay({ isPlain: true });
    const end = async (host: RawWire["client"], settings: Record<string, unknown>) => {
      const all = JSON.stringify({ key: "testkey", host: SERVER.v4, port: PORT, ...settings });
      const program = new Program(host.inside(denoCommand("tests/netns/fixtures/paqet_end.ts", [all])));
      await program.readJson();
      return program;
    };
    await using _server = await end(wire.server, { role: "server" });
    await using client = await end(wire.client, { role: "client", flags: ["PA", "A"], serverFlags: ["A", "PAU"] });
    const segments = await wire.seen(wire.client, async () => {
      assertEquals(await client.ask(`${BYTES}`), { isRight: true });
      assertEquals(await client.ask("datagrams"), { isRight: true });
    });
    assert(segments.length > 2 * BYTES / 1350, `${segments.length} segments`);
    for (const { flags, isIntact } of segments) assertEquals([flags & (SYN | RST), isIntact], [0, true]);
    const fromServer = segments.filter(({ sourcePort }) => sourcePort === PORT);
    const fromClient = segments.filter(({ sourcePort }) => sourcePort !== PORT);
    const turns = (seen: typeof segments) => new Set(seen.map(({ flags }) => flags));
    assertEquals(turns(fromClient), new Set([parseFlags("PA"), parseFlags("A")]));
    // Until it has heard what the client wishes it uses its own.
    const [first] = fromServer;
    assertEquals(first!.flags, parseFlags("PA"));
    assertEquals(turns(fromServer.slice(10)), new Set([parseFlags("A"), parseFlags("PAU")]));
    assertEquals(new Set(fromClient.map(({ sourcePort }) => sourcePort)).size, 1);
  },
);
