/**
 * Two ends of a QUIC connection over loopback, for tests of what runs on one.
 */

import { portablePrimitives } from "../protocol/primitives.ts";
import { anchorPem, selfSigned } from "../protocol/vtcp/self_signed.ts";

const NAME = "test.culvert.invalid";

export interface QuicPair extends AsyncDisposable {
  readonly client: Deno.QuicConn;
  readonly server: Deno.QuicConn;
  /** A stream that the client has opened and the server has been given. The first byte is taken off it again. */
  openStream(): Promise<[client: Deno.QuicBidirectionalStream, server: Deno.QuicBidirectionalStream]>;
}

export async function makeQuicPair(): Promise<QuicPair> {
  const { publicKey, certificatePem, keyPem } = selfSigned(
    portablePrimitives,
    crypto.getRandomValues(new Uint8Array(32)),
    NAME,
  );
  const [near, far] = [0, 1].map(() => new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 })) as [
    Deno.QuicEndpoint,
    Deno.QuicEndpoint,
  ];
  const listener = far.listen({ cert: certificatePem, key: keyPem, alpnProtocols: ["test"] });
  const [client, server] = await Promise.all([
    Deno.connectQuic({
      endpoint: near,
      hostname: "127.0.0.1",
      port: far.addr.port,
      serverName: NAME,
      alpnProtocols: ["test"],
      caCerts: [anchorPem(publicKey, NAME)],
    }),
    listener.accept(),
  ]);
  const incoming = server.incomingBidirectionalStreams.getReader();
  return {
    client,
    server,
    async openStream() {
      const opened = await client.createBidirectionalStream();
      // The far side hears of a stream by its first byte.
      const writer = opened.writable.getWriter();
      await writer.write(Uint8Array.of(0));
      writer.releaseLock();
      const { value } = await incoming.read();
      const reader = value!.readable.getReader({ mode: "byob" });
      await reader.read(new Uint8Array(1));
      reader.releaseLock();
      return [opened, value!];
    },
    async [Symbol.asyncDispose]() {
      client.close();
      server.close();
      await Promise.allSettled([client.closed, server.closed, incoming.cancel()]);
      listener.stop();
      near.close();
      far.close();
    },
  };
}
