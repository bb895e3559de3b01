/**
 * What a node does with the streams it is asked for: docs/node-protocol.md, "Streams".
 */

import { type Stream, writeAll } from "../../protocol/stream.ts";
import { encodeTunnelRequest } from "../../protocol/tunnel.ts";
import { StreamDatagrams } from "../../net/stream_datagrams.ts";
import { askTunnel, openTunnelStream } from "../../net/tunnel_path.ts";
import { ANSWER_MS, type Check, connected, demand, dial, echoes, inTime, KIB, refusalOf } from "./bench.ts";
import { until } from "./scripted_orchestrator.ts";

export const carryingChecks: readonly Check[] = [
  {
    name: "it carries a stream both ways, byte for byte, and its end",
    run: (bench) => echoes(bench, 1024 * KIB, { ends: true }),
  },
  {
    name: "it carries 32 streams at once",
    run: async (bench) => void await Promise.all(Array.from({ length: 32 }, () => echoes(bench, 32 * KIB))),
  },
  {
    name: "it tells when nothing listens",
    async run(bench) {
      const failure = await refusalOf(bench, { host: "127.0.0.1", port: bench.closedPort });
      demand(failure === "refused", `it said ${failure}`);
    },
  },
  {
    name: "it refuses private and other special addresses, however they are written",
    async run(bench) {
      const hosts = [
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::ffff:10.0.0.1",
        "fd00::1",
        "fe80::1",
      ];
      for (const host of hosts) {
        const failure = await refusalOf(bench, { host, port: 443 });
        demand(failure === "denied", `for ${host} it said ${failure}`);
      }
    },
  },
  {
    name: "it refuses SMTP",
    async run(bench) {
      const failure = await refusalOf(bench, { host: "127.0.0.1", port: 25 });
      demand(failure === "denied", `it said ${failure}`);
    },
  },
  {
    name: "it passes over options of a request that it does not know",
    async run(bench) {
      const request = { kind: "stream", target: { host: "127.0.0.1", port: bench.target.port }, trail: [] } as const;
      const bare = encodeTunnelRequest(request)!;
      const bytes = Uint8Array.of(...bare, 250, 0, 3, 1, 2, 3);
      bytes[3]! += 6;
      const { mux } = await connected(bench);
      const opened = mux.open();
      await inTime(askTunnel(opened, { request, bytes }), "an answer to a dial");
      opened.close();
    },
  },
  {
    name: "a request that makes no sense costs its own stream only",
    async run(bench) {
      const connection = await connected(bench);
      const stream = connection.mux.open();
      await writeAll(stream, new Uint8Array(64).fill(0xee));
      const buffer = new Uint8Array(512);
      const ending = stream.read(buffer).then((count) => count === null || buffer[1] !== 0, () => true);
      demand(await inTime(ending, "an end of that stream"), "it said that the stream is open");
      stream.close();
      await connection.ping(3);
    },
  },
  {
    name: "a stream that nobody reads holds up no others, and stays within its window",
    async run(bench) {
      const stalled = await dial(bench, { host: "127.0.0.1", port: bench.target.port });
      await writeAll(stalled, new TextEncoder().encode("f"));
      demand(await inTime(stalled.readable(64 * KIB), "a flood"), "the flood ended");
      await echoes(bench, 256 * KIB);
      const connection = await connected(bench);
      await connection.ping(4);
      demand(!connection.mux.failure, `the tunnel failed: ${connection.mux.failure}`);
      stalled.abort?.();
    },
  },
  {
    name: "it lets go of the target when the stream is cut",
    async run({ target, ...bench }) {
      await until(target.changes, () => target.open === 0, "an end of the target's connections", ANSWER_MS);
      const stream = await dial({ target, ...bench }, { host: "127.0.0.1", port: target.port });
      await writeAll(stream, new TextEncoder().encode("e"));
      await writeAll(stream, new Uint8Array(1));
      await inTime(stream.read(new Uint8Array(1)), "the echo");
      stream.abort?.();
      await until(target.changes, () => target.open === 0, "an end of the target's connection", ANSWER_MS);
    },
  },
  {
    name: "a connection that its target cuts is not passed off as one that ended",
    async run(bench) {
      const connection = await connected(bench);
      if (!connection.hello!.muxExtensions) return "plain smux has no word for it";
      const stream = await dial(bench, { host: "127.0.0.1", port: bench.target.port });
      await writeAll(stream, new TextEncoder().encode(`r${"x".repeat(10_000)}`));
      const ending = stream.read(new Uint8Array(16)).then((count) => count === null ? "ended" : "bytes", () => "cut");
      demand(await inTime(ending, "an end of the stream") === "cut", "the stream seemed to end well");
      return undefined;
    },
  },
  {
    name: "it answers pings while it is busy",
    async run(bench) {
      const busy = await dial(bench, { host: "127.0.0.1", port: bench.target.port });
      await writeAll(busy, new TextEncoder().encode("f"));
      let isOver = false;
      const reading = drink(busy, () => isOver);
      const connection = await connected(bench);
      for (let sequence = 10; sequence < 15; sequence++) await connection.ping(sequence);
      isOver = true;
      await inTime(reading, "an end of reading");
    },
  },
  {
    name: "it carries datagrams, if it says that it does",
    async run(bench) {
      const connection = await connected(bench);
      if (!connection.hello!.egress.datagrams) return "its egress has none";
      const stream = await openTunnelStream(connection.mux, { kind: "datagrams", trail: [] });
      using datagrams = new StreamDatagrams(stream);
      const target = { host: "127.0.0.1", port: bench.target.port };
      await datagrams.send(Uint8Array.of(1, 2, 3), target);
      const buffer = new Uint8Array(64);
      const received = await inTime(datagrams.receive(buffer), "an answer to a datagram");
      demand(received?.length === 3 && received.from.port === target.port, "another datagram came back");
      return undefined;
    },
  },
  {
    name: "it opens no streams itself",
    async run(bench) {
      const connection = await connected(bench);
      demand(connection.faults.length === 0, connection.faults[0] ?? "");
    },
  },
];

async function drink(stream: Stream, isOver: () => boolean): Promise<void> {
  const buffer = new Uint8Array(64 * KIB);
  while (!isOver()) if (await stream.read(buffer) === null) break;
  stream.abort?.();
}
