import { assertEquals } from "@std/assert";
import { clockOf } from "../../protocol/clock.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { anchorPem, selfSigned } from "../../protocol/vtcp/self_signed.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { QuicAcceptor } from "./quic_acceptor.ts";
import { connectByQuic } from "./quic_connect.ts";

const NAME = "acceptor.test.invalid";
const HERE = "127.0.0.1";
const certificate = selfSigned(portablePrimitives, crypto.getRandomValues(new Uint8Array(32)), NAME);

class Rig implements AsyncDisposable {
  readonly bridge = new Deno.QuicEndpoint({ hostname: HERE, port: 0 });
  readonly acceptor = new QuicAcceptor<string>({
    certificate,
    alpn: ["h3"],
    idleMs: 20_000,
    streams: 8,
    clock: clockOf(globalThis),
    log: silentLog,
    metrics: noMetrics,
  });

  constructor() {
    this.acceptor.serve(this.bridge.addr.port, { onStream: () => Promise.resolve() });
  }

  connect(endpoint: Deno.QuicEndpoint = this.bridge): Promise<Deno.QuicConn> {
    return connectByQuic({
      endpoint,
      port: this.acceptor.port,
      serverName: NAME,
      alpn: ["h3"],
      anchor: anchorPem(certificate.publicKey, NAME),
      keepAliveMs: 2000,
      idleMs: 20_000,
    }, new AbortController().signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.acceptor[Symbol.asyncDispose]();
    this.bridge.close();
  }
}

Deno.test("connections of an address that is nobody's any more end, before it is somebody else's", async () => {
  await using rig = new Rig();
  rig.acceptor.learn({ type: "client", address: HERE, at: "one" }, "one");
  const connections = await Promise.all([rig.connect(), rig.connect()]);
  await eventually("both are taken", () => rig.acceptor.size === 2);
  rig.acceptor.learn({ type: "gone", address: HERE }, undefined);
  rig.acceptor.learn({ type: "client", address: HERE, at: "other" }, "other");
  await within("their end", Promise.all(connections.map(({ closed }) => closed)));
  await eventually("they are not counted", () => rig.acceptor.size === 0);
});

Deno.test("another program of this machine is let go, though its address is known", async () => {
  await using rig = new Rig();
  rig.acceptor.learn({ type: "client", address: HERE, at: "one" }, "one");
  const stranger = new Deno.QuicEndpoint({ hostname: HERE, port: 0 });
  const connection = await rig.connect(stranger);
  await within("its end", connection.closed);
  assertEquals(rig.acceptor.size, 0);
  stranger.close();
});

Deno.test("one client has no more than 32 connections", async () => {
  await using rig = new Rig();
  rig.acceptor.learn({ type: "client", address: HERE, at: "one" }, "one");
  const connections = await Promise.all(Array.from({ length: 33 }, () => rig.connect()));
  await within("the end of one", Promise.race(connections.map(({ closed }) => closed)));
  await eventually("the others are taken", () => rig.acceptor.size === 32);
  connections.forEach((connection) => connection.close());
});
