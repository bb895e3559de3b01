/**
 * What a WireGuard device is told and what it tells, the same for every maker of devices and for both of the languages
 * (UAPI text, generic netlink) it is said in.
 */

import type { Cidr, IpAddress } from "../ip.ts";

/** 32 bytes. */
export type Key = Uint8Array<ArrayBuffer>;

/** Where a peer's datagrams come from and go to. */
export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
  /** The interface of a link-local IPv6 address. */
  readonly scopeId?: number;
}

/** What to change; what is left out stays as it is. */
export interface DeviceChange {
  /** 32 zero bytes take the key away. */
  readonly privateKey?: Key;
  /** 0 lets the system choose. */
  readonly listenPort?: number;
  /** 0 for none. */
  readonly fwmark?: number;
  /** First forget every peer; those named here too begin afresh, without a session. */
  readonly replacePeers?: boolean;
  readonly peers?: readonly PeerChange[];
}

export interface PeerChange {
  readonly publicKey: Key;
  readonly remove?: boolean;
  /** Do nothing if the peer is not there yet. */
  readonly updateOnly?: boolean;
  /** 32 zero bytes take it away. */
  readonly presharedKey?: Key;
  readonly endpoint?: Endpoint;
  /**
   * Sends to the endpoint it was told, wherever authentic datagrams come from; false: follows them again. Only our own
   * device can: neither of the languages has a word for it, and to others it means nothing.
   */
  readonly keepsEndpoint?: boolean;
  /** 0 turns it off. */
  readonly persistentKeepaliveS?: number;
  readonly replaceAllowedIps?: boolean;
  readonly allowedIps?: readonly AllowedIpChange[];
}

export interface AllowedIpChange {
  readonly cidr: Cidr;
  readonly remove?: boolean;
}

export interface DeviceStatus {
  /** Absent when the device has none. */
  readonly privateKey?: Key;
  readonly publicKey?: Key;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly PeerStatus[];
}

export interface PeerStatus {
  readonly publicKey: Key;
  /** Absent when there is none. */
  readonly presharedKey?: Key;
  readonly endpoint?: Endpoint;
  readonly persistentKeepaliveS: number;
  /** Milliseconds since 1970, with a fraction; 0 when there was none yet. */
  readonly lastHandshakeMs: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  readonly allowedIps: readonly Cidr[];
}
