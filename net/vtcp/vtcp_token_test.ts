/** What a client of vtcp gets that has said hello and then does not say, on its streams, what it was told to. */

import { assertEquals, assertRejects } from "@std/assert";
import { openBridge } from "../../native/vtcp/bridge.ts";
import type { BridgeNews } from "../../native/vtcp/bridge_messages.ts";
import { silentLog } from "../../protocol/log.ts";
import { noMetrics } from "../../protocol/metrics.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { randomOf } from "../../protocol/random.ts";
import { writeAll } from "../../protocol/stream.ts";
import { certificateName } from "../../protocol/vtcp/admission.ts";
import { anchorPem } from "../../protocol/vtcp/self_signed.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { eventually, within } from "../../testing/waiting.ts";
import { LoopbackPath } from "./fixtures/far_side.ts";
import { connectByQuic } from "./quic_connect.ts";
import { QuicStream } from "./quic_stream.ts";
import { VtcpServer } from "./vtcp_server.ts";
import { VTCP_ALPN } from "./vtcp_settings.ts";

const random = randomOf(crypto);
const draw = () => random.fill(new Uint8Array(32));
const privateKey = draw(), secret = draw();

class Rig implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly #stack = new AsyncDisposableStack();
  connection!: Deno.QuicConn;
  server!: VtcpServer;

  static async connect(): Promise<Rig> {
    const rig = new Rig();
    rig.server = rig.#stack.use(
      await VtcpServer.start({
        privateKey,
        clients: [{ name: "one", secret }],
        carrier: { kind: "udp", listen: { host: "127.0.0.1", ports: 0 } },
        onward: new LoopbackPath(),
        hop: { name: "vtcp server", at: "test" },
        clock: rig.clock,
        random,
        log: silentLog,
        metrics: noMetrics,
      }),
    );
    const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
    rig.#stack.defer(() => endpoint.close());
    const admission = Promise.withResolvers<BridgeNews>();
    const bridge = rig.#stack.use(
      await openBridge({
        side: "client",
        carrier: { kind: "udp", peer: { host: "127.0.0.1", ports: rig.server.ports[0]! } },
        quicPort: endpoint.addr.port,
        credential: { serverPublicKey: portablePrimitives.x25519PublicKey(privateKey), secret },
      }, { log: silentLog, onNews: (news) => admission.resolve(news) }),
    );
    const news = await within("an answer", admission.promise);
    if (news.type !== "admitted") throw new Error(`The server said ${news.type}`);
    const serverName = certificateName(news.certificateKey);
    rig.connection = await connectByQuic({
      endpoint,
      port: bridge.loopbackPort,
      serverName,
      alpn: VTCP_ALPN,
      anchor: anchorPem(news.certificateKey, serverName),
      keepAliveMs: 2000,
      idleMs: 20_000,
    }, new AbortController().signal);
    rig.#stack.defer(() => rig.connection.close());
    return rig;
  }

  async open(first: Uint8Array): Promise<QuicStream> {
    const stream = new QuicStream(await this.connection.createBidirectionalStream());
    await writeAll(stream, first);
    return stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

Deno.test("a stream that shows another token is cut, and nothing is dialled", async () => {
  await using rig = await Rig.connect();
  using stream = await rig.open(random.fill(new Uint8Array(64)));
  assertEquals(await within("its end", stream.read(new Uint8Array(64))), null);
  assertEquals(rig.server.streamCount, 0);
});

Deno.test("streams that show no token are cut after a while, and make room for others", async () => {
  await using rig = await Rig.connect();
  const timers = rig.clock.pendingTimers;
  const streams = await Promise.all(Array.from({ length: 32 }, () => rig.open(Uint8Array.of(1))));
  await assertRejects(() => rig.connection.createBidirectionalStream());
  await eventually("they are all awaited", () => rig.clock.pendingTimers >= timers + 32);
  rig.clock.advance(10_000);
  for (const stream of streams) {
    assertEquals(await within("its end", stream.read(new Uint8Array(1))), null);
    stream.close();
  }
  const next = await within("room", rig.connection.createBidirectionalStream({ waitUntilAvailable: true }));
  new QuicStream(next).close();
});
