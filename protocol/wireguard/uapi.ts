/**
 * The configuration protocol of userspace WireGuard devices (https://www.wireguard.com/xplatform/), the writing half.
 * `uapi_request.ts` reads what a program asks of our device, `uapi_reply.ts` what another device answers.
 *
 *   ask      get=1⏎⏎                                   set=1⏎ fields… ⏎⏎
 *   answer   fields… errno=0⏎⏎                         errno=0⏎⏎
 *
 * A field is a line `name=value`; the device's come first, then each peer's, begun by its `public_key`. Keys are in
 * hexadecimal, times in seconds, error numbers negative as in wireguard-go (`wg` shows the right text for those only).
 * Which socket it is spoken over is not decided here.
 */

import { formatCidr } from "../ip.ts";
import { formatEndpoint, type ScopeLookup } from "./endpoint.ts";
import { isZeroKey, keyToHex } from "./keys.ts";
import type { DeviceChange, DeviceStatus, PeerChange, PeerStatus } from "./settings.ts";

/** The error numbers of Linux that an answer may carry. */
export const UapiErrno = {
  EIO: 5,
  EINVAL: 22,
  /** wireguard-go's "unknown error". */
  ENOANO: 55,
  EPROTO: 71,
  EADDRINUSE: 98,
} as const;

/** What one request or one reply may carry, over all peers. */
export const MAX_ALLOWED_IPS = 1 << 18;

export interface UapiReadOptions {
  /** For endpoints with an interface's name; without it only numbers are understood. */
  readonly scopeOf?: ScopeLookup;
}

/** Asks a device for everything. */
export const UAPI_GET = "get=1\n\n";

const NO_KEY = "0".repeat(64);

/** Asks a device for a change. A "-" before an allowed address is understood by devices of 2025 and later. */
export function formatSet(change: DeviceChange): string {
  return "set=1\n" +
    field("private_key", change.privateKey && keyToHex(change.privateKey)) +
    field("listen_port", change.listenPort) +
    field("fwmark", change.fwmark) +
    flag("replace_peers", change.replacePeers) +
    (change.peers ?? []).map(peerChangeText).join("") +
    "\n";
}

/** Answers a get. */
export function formatStatus(status: DeviceStatus): string {
  return field("private_key", status.privateKey && keyToHex(status.privateKey)) +
    field("listen_port", status.listenPort || undefined) +
    field("fwmark", status.fwmark || undefined) +
    status.peers.map(peerStatusText).join("") +
    formatErrno(0);
}

/** Answers a set, or anything that failed. */
export function formatErrno(errno: number): string {
  return `errno=${errno === 0 ? 0 : -errno}\n\n`;
}

function peerChangeText(peer: PeerChange): string {
  // `update_only` must come before whatever it guards.
  return field("public_key", keyToHex(peer.publicKey)) +
    flag("update_only", peer.updateOnly) +
    flag("remove", peer.remove) +
    field("preshared_key", peer.presharedKey && keyToHex(peer.presharedKey)) +
    field("endpoint", peer.endpoint && formatEndpoint(peer.endpoint)) +
    field("persistent_keepalive_interval", peer.persistentKeepaliveS) +
    flag("replace_allowed_ips", peer.replaceAllowedIps) +
    (peer.allowedIps ?? []).map(({ cidr, remove }) => field("allowed_ip", `${remove ? "-" : ""}${formatCidr(cidr)}`))
      .join("");
}

function peerStatusText(peer: PeerStatus): string {
  const handshakeS = Math.floor(peer.lastHandshakeMs / 1000);
  const handshakeNs = Math.floor((peer.lastHandshakeMs - handshakeS * 1000) * 1e6);
  return field("public_key", keyToHex(peer.publicKey)) +
    field("preshared_key", peer.presharedKey && !isZeroKey(peer.presharedKey) ? keyToHex(peer.presharedKey) : NO_KEY) +
    field("protocol_version", 1) +
    field("endpoint", peer.endpoint && formatEndpoint(peer.endpoint)) +
    field("last_handshake_time_sec", handshakeS) +
    field("last_handshake_time_nsec", handshakeNs) +
    field("tx_bytes", peer.sentBytes) +
    field("rx_bytes", peer.receivedBytes) +
    field("persistent_keepalive_interval", peer.persistentKeepaliveS) +
    peer.allowedIps.map((cidr) => field("allowed_ip", formatCidr(cidr))).join("");
}

function field(name: string, value: string | number | undefined): string {
  return value === undefined ? "" : `${name}=${value}\n`;
}

function flag(name: string, isSet: boolean | undefined): string {
  return isSet ? `${name}=true\n` : "";
}
