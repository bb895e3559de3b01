/** What the bridge of vtcp is told, and tells. */

import type { CarrierOptions } from "../../protocol/carrier_options.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { ClientCredential, NamedSecret } from "../../protocol/sealed_packets/credentials.ts";
import type { Refusal } from "../../protocol/sealed_packets/hello.ts";
import type { EngineTalk } from "../worker_messages.ts";

/** A carrier as it is described to another thread. */
export type BridgeCarrier = Omit<CarrierOptions, "clock" | "random" | "log" | "metrics">;

export interface ClientBridgeOptions {
  readonly side: "client";
  /** What QUIC packets travel in. */
  readonly carrier: BridgeCarrier & { readonly peer: NonNullable<CarrierOptions["peer"]> };
  /** The port of our QUIC endpoint on 127.0.0.1. */
  readonly quicPort: number;
  /** Without it there are no hellos: whatever answers is passed on. */
  readonly credential?: ClientCredential;
}

export interface ServerBridgeOptions {
  readonly side: "server";
  readonly carrier: BridgeCarrier;
  readonly quicPort: number;
  readonly maxClients: number;
  /** A client that is silent for so long is forgotten. */
  readonly idleMs: number;
  /** Without it everybody who begins like QUIC is let in. */
  readonly gate?: {
    readonly privateKey: Bytes;
    readonly clients: readonly NamedSecret[];
    readonly certificateKey: Bytes;
  };
}

export type BridgeOptions = ClientBridgeOptions | ServerBridgeOptions;

export interface BridgeStarted {
  /** On 127.0.0.1, where QUIC finds the far end. */
  readonly loopbackPort: number;
  /** Of the carrier. */
  readonly localPorts: readonly number[];
  readonly maxPayloadBytes: number;
}

export type BridgeCommand =
  /** Other ports, of those there are. */
  | { readonly type: "hop" }
  | { readonly type: "counts" }
  | { readonly type: "admit"; readonly client: NamedSecret }
  | { readonly type: "revoke"; readonly name: string };

export interface BridgeCounts {
  readonly sentPackets: number;
  readonly receivedPackets: number;
  readonly lostPackets: number;
  /** At a server: places that are known. */
  readonly clients: number;
}

export type BridgeNews =
  /** The client: the server has let us in, anew or again. */
  | { readonly type: "admitted"; readonly instance: string; readonly token: Bytes; readonly certificateKey: Bytes }
  /** The client: the server will not have us. */
  | { readonly type: "refused"; readonly reason: Refusal; readonly serverWallMs: number }
  /** The client: several hellos have had no answer. */
  | { readonly type: "unanswered"; readonly hellos: number }
  /** The server: whoever is behind this loopback address. */
  | {
    readonly type: "client";
    readonly address: string;
    readonly at: string;
    readonly name?: string;
    readonly token?: Bytes;
  }
  /** The server: that address is nobody's any more. */
  | { readonly type: "gone"; readonly address: string };

export interface BridgeTalk extends EngineTalk {
  readonly options: BridgeOptions;
  readonly started: BridgeStarted;
  readonly command: BridgeCommand;
  readonly answer: BridgeCounts | boolean | undefined;
  readonly news: BridgeNews;
}
