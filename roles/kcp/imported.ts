/**
 * Settings of other programs, in our own words, whatever they were written in. What a role or a URL makes of them is its own.
 *
 * Nothing is dropped in silence: `notes` name every key that means nothing here, and why; what cannot be done at all is
 * refused, all of it at once.
 */

import type { KcpModeName } from "../../protocol/kcp/kcp_options.ts";
import type { CryptName } from "../../protocol/packet_layer/crypt.ts";
import type { PortSpan } from "../../protocol/port_span.ts";
import type { LookName } from "../../protocol/tcp_look/look_name.ts";

export interface ImportedSettings {
  readonly program: "paqet" | "gfk-py" | "gfk-go";
  readonly side: "client" | "server";
  /** What the streams are in. */
  readonly transport: "kcp" | "quic";
  readonly carrier: ImportedCarrier;
  readonly key: string;
  readonly kcp?: ImportedKcp;
  readonly quic?: ImportedQuic;
  readonly mux?: ImportedMux;
  /** Of a client. */
  readonly socks: readonly ImportedSocks[];
  /** Of a client. */
  readonly forwards: readonly ImportedForward[];
  /** Of a server: where it lets clients go. */
  readonly backend?: ImportedBackend;
  readonly logLevel?: "debug" | "info" | "warn" | "error";
  readonly notes: readonly string[];
}

export interface ImportedCarrier {
  readonly look: LookName;
  /** The server's ports, and of a client its address. */
  readonly server: { readonly host?: string; readonly ports: PortSpan };
  /** A client's own ports; any when left out. */
  readonly clientPorts?: PortSpan;
  readonly interface?: string;
  readonly source?: string;
  readonly gatewayMac?: string;
  /** As letters, in turns: of what this side sends. */
  readonly flags?: readonly string[];
  /** Those that a client asks its server to use. */
  readonly remoteFlags?: readonly string[];
  readonly maxPayloadBytes?: number;
  readonly manageFirewall?: boolean;
}

export interface ImportedKcp {
  readonly crypt: CryptName;
  readonly mode: KcpModeName;
  /** The parts of a mode, where they are given. */
  readonly noDelay?: boolean;
  readonly intervalMs?: number;
  readonly fastResend?: number;
  readonly hasCongestionControl?: boolean;
  readonly writeDelay?: boolean;
  readonly ackNoDelay?: boolean;
  readonly mtuBytes?: number;
  readonly sendWindow?: number;
  readonly receiveWindow?: number;
  readonly dataShards?: number;
  readonly parityShards?: number;
  /** Tunnels side by side. */
  readonly links?: number;
}

export interface ImportedQuic {
  readonly mtuBytes?: number;
  readonly idleTimeoutMs?: number;
  readonly keepAliveMs?: number;
}

export interface ImportedMux {
  readonly sessionBufferBytes?: number;
  readonly streamBufferBytes?: number;
  readonly keepAliveMs?: number;
  readonly timeoutMs?: number;
}

export interface ImportedSocks {
  readonly listen: string;
  readonly username?: string;
  readonly password?: string;
}

export interface ImportedForward {
  readonly protocol: "tcp" | "udp";
  readonly listen: string;
  /** `host:port`, or a port of the server's backend. */
  readonly target: string | number;
}

export interface ImportedBackend {
  readonly host: string;
  /** Those that clients may reach; every one when left out. */
  readonly ports?: readonly number[];
  /** Whether clients may name any host. */
  readonly isOpen: boolean;
}
