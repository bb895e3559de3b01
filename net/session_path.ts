/**
 * A client's way out through an exit that others lead to: a Path over sealed streams of one session.
 *
 *   dial → mux stream → sealed stream → stream on the data link → supernodes → exit
 *
 * `open` brings the streams, on whatever data link there is. Whoever relays them learns how much is carried and when, not
 * where to or what. One stream per session carries as much as several (they share the data link), so that is the default.
 *
 * What it does not do: ask for a session, or for another when this exit fails; a Path over sessions is made of these.
 */

import { DialError } from "../protocol/errors.ts";
import type { PacketOffer } from "../protocol/control/packets.ts";
import type { NoiseKeyPair } from "../protocol/noise_ik.ts";
import type { Bytes } from "../protocol/primitives.ts";
import type { Hop, Stream } from "../protocol/stream.ts";
import { encodeRelayHeader } from "../protocol/relay.ts";
import { sessionPrologue } from "../protocol/sealed_handshake.ts";
import { BufferPool } from "./buffer_pool.ts";
import type { LinkKeeperOptions } from "./link_keeper.ts";
import { readReply } from "./read_frame.ts";
import { type SealParts, sealStream } from "./sealed_stream.ts";
import { StreamLink } from "./stream_link.ts";
import { TunnelPath } from "./tunnel_path.ts";

/** A session as the client knows it. */
export interface ClientSession {
  readonly sessionId: string;
  /** The exit's registered X25519 key. Whoever gives it has checked that it is bound to the exit's identity. */
  readonly exitKey: Bytes;
  /** The exit's peer id, for logs. */
  readonly exitPeerId: string;
  /** What it takes to send packets, where the session carries those. */
  readonly packets?: PacketOffer;
}

export interface SessionPathOptions extends SealParts, Omit<LinkKeeperOptions, "connect" | "farEnd"> {
  readonly session: ClientSession;
  /** Our registered X25519 key. */
  readonly local: NoiseKeyPair;
  /** Opens a stream on the data link, nothing said on it yet; gives up when the signal is aborted. */
  open(signal: AbortSignal): Promise<Stream>;
  /** What we are called in trails, such as our peer id. */
  readonly at: string;
  /** More to say there of this end: where it is, how far the supernode. */
  about?(): Pick<Hop, "region" | "rttMs">;
  /** Streams kept up. Default 1. */
  readonly links?: number;
}

/** Opens a session's Path; it connects in the background and again when a stream is lost, until it is closed. */
export function openSessionPath(options: SessionPathOptions): TunnelPath {
  const { session, local } = options;
  const header = encodeRelayHeader({ kind: "toExit", sessionId: session.sessionId, trail: [] });
  if (!header) throw new DialError("unauthorized", "Cannot open a session: its id is none that can be sent");
  const prologue = sessionPrologue(session.sessionId);
  const pool = new BufferPool({ bufferBytes: 256 * 1024 });
  return new TunnelPath({
    ...options,
    links: options.links ?? 1,
    farEnd: session.exitPeerId,
    hop: () => ({ name: "client", at: options.at, seal: "sealed to the exit, by Noise IK", ...options.about?.() }),
    connect: async (signal) => {
      const stream = await options.open(signal);
      const sealed = await sealStream(stream, {
        ...options,
        role: "initiator",
        local,
        remote: session.exitKey,
        prologue,
        preface: { send: header, receive: async (stream) => void await readReply(stream, "the exit") },
        signal,
      });
      return new StreamLink(sealed, pool);
    },
  });
}
