/** How streams come to a GFK server: by QUIC through a bridge, or by a mux over KCP. */

import { messageOf } from "../../protocol/errors.ts";
import { gfkKey } from "../../protocol/packet_layer/packet_keys.ts";
import { portablePrimitives } from "../../protocol/primitives.ts";
import { selfSigned } from "../../protocol/vtcp/self_signed.ts";
import { formatTarget, type Stream } from "../../protocol/stream.ts";
import { CountedLink, type Traffic } from "../counted_link.ts";
import { KcpServer } from "../kcp/kcp_server.ts";
import { LinkSampler } from "../kcp/link_sampler.ts";
import { openPacketSeal } from "../kcp/packet_seal.ts";
import { MuxConnection } from "../mux.ts";
import { openCarrier } from "../packets/open_carrier.ts";
import { gfkKcp, gfkMux } from "./gfk_kcp_settings.ts";
import { GFK_GO_ALPN, GFK_GO_IDLE_MS, GFK_PY_IDLE_MS, GFK_STREAMS, UNVERIFIED_NAME } from "./gfk_quic.ts";
import type { GfkListening, GfkServerOptions } from "./gfk_server.ts";
import { QuicAcceptor } from "./quic_acceptor.ts";
import { QuicStream } from "./quic_stream.ts";
import { CLIENT_IDLE_MS } from "./vtcp_settings.ts";

export async function listenGfkQuic(
  options: GfkServerOptions,
  onStream: (stream: Stream) => void,
): Promise<GfkListening> {
  const { dialect, carrier, random, clock, log, metrics, maxClients = 4096 } = options;
  const certificate = options.certificate ??
    selfSigned(portablePrimitives, random.fill(new Uint8Array(32)), UNVERIFIED_NAME);
  const isGo = dialect === "gfk-go";
  const acceptor = new QuicAcceptor<string>({
    certificate,
    alpn: isGo ? GFK_GO_ALPN : [],
    idleMs: isGo ? GFK_GO_IDLE_MS : GFK_PY_IDLE_MS,
    streams: GFK_STREAMS,
    clock,
    log,
    metrics,
  });
  try {
    const { openBridge } = await import("../../native/vtcp/bridge.ts");
    const bridge = await openBridge(
      { side: "server", carrier, quicPort: acceptor.port, maxClients, idleMs: CLIENT_IDLE_MS },
      { log, onNews: (news) => acceptor.learn(news, news.type === "client" ? news.at : undefined) },
    );
    acceptor.serve(bridge.loopbackPort, { onStream: (halves) => Promise.resolve(onStream(new QuicStream(halves))) });
    bridge.ended.then((error) => error && log.error("The bridge of GFK has ended", { error: error.message }));
    return {
      ports: bridge.localPorts,
      ended: bridge.ended,
      clientCount: async () => (await bridge.counts()).clients,
      async close() {
        await acceptor[Symbol.asyncDispose]();
        await bridge.close();
      },
    };
  } catch (error) {
    await acceptor[Symbol.asyncDispose]();
    throw error;
  }
}

export async function listenGfkKcp(
  options: GfkServerOptions,
  onStream: (stream: Stream) => void,
): Promise<GfkListening> {
  const { carrier: described, random, clock, log, metrics, secret, mtuBytes, maxClients } = options;
  const sampler = new LinkSampler("gfk_kcp_server", { clock, metrics });
  const seal = await openPacketSeal({ crypt: "aes", key: await gfkKey(secret!), random });
  const carrier = await openCarrier({ ...described, clock, random, log, metrics });
  const ended = Promise.withResolvers<Error | undefined>();
  const muxes = new Set<MuxConnection>();
  const server = new KcpServer({
    carrier,
    kcp: gfkKcp(seal, mtuBytes),
    clock,
    seal,
    onLink(link) {
      const traffic: Traffic = { rxBytes: 0, txBytes: 0 };
      sampler.add(link, traffic, { client: "", place: () => formatTarget(link.place) });
      const mux = new MuxConnection(new CountedLink(link, traffic), clock, { ...gfkMux(mtuBytes), role: "server" });
      mux.onStream = onStream;
      muxes.add(mux);
      mux.ended.then(() => muxes.delete(mux));
      mux.start();
    },
    onClose(error) {
      if (error !== undefined) log.error("The carrier of GFK has ended", { error: messageOf(error) });
      ended.resolve(error === undefined || error instanceof Error ? error : new Error(messageOf(error)));
    },
    ...maxClients !== undefined && { maxLinks: maxClients },
  });
  return {
    ports: carrier.localPorts,
    ended: ended.promise,
    clientCount: () => Promise.resolve(muxes.size),
    async close() {
      sampler[Symbol.dispose]();
      for (const mux of muxes) mux.close();
      server[Symbol.dispose]();
      carrier.close();
      await ended.promise;
      await carrier[Symbol.asyncDispose]();
      seal[Symbol.dispose]();
    },
  };
}
