/**
 * A device's state as `wg show` prints it, for people, and as `wg show … dump` does, for programs. Letter for letter,
 * because scripts read both; without colours.
 */

import { formatCidr } from "../ip.ts";
import { formatEndpoint } from "./endpoint.ts";
import { keyToBase64 } from "./keys.ts";
import type { DeviceStatus, PeerStatus } from "./settings.ts";

export interface ShowOptions {
  /** Milliseconds since 1970. */
  readonly wallMs: number;
  /** Print private and preshared keys instead of "(hidden)". */
  readonly revealKeys?: boolean;
}

const UNITS_OF_TIME: readonly [name: string, seconds: number][] = [
  ["year", 365 * 86_400],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

const UNITS_OF_SIZE: readonly [name: string, bytes: number][] = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
];

/** For people: the device, then its peers, who spoke last first. */
export function formatShow(interfaceName: string, status: DeviceStatus, options: ShowOptions): string {
  const peers = [...status.peers].sort((one, other) => other.lastHandshakeMs - one.lastHandshakeMs);
  return [deviceBlock(interfaceName, status, options), ...peers.map((peer) => peerBlock(peer, options))].join("\n");
}

/** For programs: fields with tabs between, one line for the device and one per peer. Shows all keys. */
export function formatDump(status: DeviceStatus): string {
  const { privateKey, publicKey, listenPort, fwmark, peers } = status;
  const device = [
    privateKey ? keyToBase64(privateKey) : "(none)",
    publicKey ? keyToBase64(publicKey) : "(none)",
    listenPort,
    fwmark === 0 ? "off" : hex(fwmark),
  ];
  return [device, ...peers.map(dumpFields)].map((fields) => `${fields.join("\t")}\n`).join("");
}

function dumpFields(peer: PeerStatus): (string | number)[] {
  return [
    keyToBase64(peer.publicKey),
    peer.presharedKey ? keyToBase64(peer.presharedKey) : "(none)",
    peer.endpoint ? formatEndpoint(peer.endpoint) : "(none)",
    peer.allowedIps.map(formatCidr).join(",") || "(none)",
    Math.floor(peer.lastHandshakeMs / 1000),
    peer.receivedBytes,
    peer.sentBytes,
    peer.persistentKeepaliveS || "off",
  ];
}

function deviceBlock(interfaceName: string, status: DeviceStatus, { revealKeys }: ShowOptions): string {
  const { privateKey, publicKey, listenPort, fwmark } = status;
  return `interface: ${interfaceName}\n` +
    line("public key", publicKey && keyToBase64(publicKey)) +
    line("private key", privateKey && (revealKeys ? keyToBase64(privateKey) : "(hidden)")) +
    line("listening port", listenPort || undefined) +
    line("fwmark", fwmark === 0 ? undefined : hex(fwmark));
}

function peerBlock(peer: PeerStatus, { wallMs, revealKeys }: ShowOptions): string {
  const { presharedKey, endpoint, lastHandshakeMs, receivedBytes, sentBytes, persistentKeepaliveS } = peer;
  const hasTransfer = receivedBytes > 0 || sentBytes > 0;
  return `peer: ${keyToBase64(peer.publicKey)}\n` +
    line("preshared key", presharedKey && (revealKeys ? keyToBase64(presharedKey) : "(hidden)")) +
    line("endpoint", endpoint && formatEndpoint(endpoint)) +
    line("allowed ips", peer.allowedIps.map(formatCidr).join(", ") || "(none)") +
    line("latest handshake", lastHandshakeMs >= 1000 ? ago(lastHandshakeMs, wallMs) : undefined) +
    line("transfer", hasTransfer ? `${size(receivedBytes)} received, ${size(sentBytes)} sent` : undefined) +
    line("persistent keepalive", persistentKeepaliveS === 0 ? undefined : `every ${duration(persistentKeepaliveS)}`);
}

function line(name: string, value: string | number | undefined): string {
  return value === undefined ? "" : `  ${name}: ${value}\n`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** Whole seconds on both sides, as wg counts. */
function ago(thenMs: number, wallMs: number): string {
  const seconds = Math.floor(wallMs / 1000) - Math.floor(thenMs / 1000);
  if (seconds === 0) return "Now";
  return seconds > 0 ? `${duration(seconds)} ago` : "(System clock wound backward; connection problems may ensue.)";
}

function duration(seconds: number): string {
  const parts: string[] = [];
  let left = seconds;
  for (const [name, unit] of UNITS_OF_TIME) {
    const count = Math.floor(left / unit);
    if (count > 0) parts.push(`${count} ${name}${count === 1 ? "" : "s"}`);
    left %= unit;
  }
  return parts.join(", ");
}

function size(bytes: number): string {
  const unit = UNITS_OF_SIZE.find(([, unitBytes]) => bytes >= unitBytes);
  return unit ? `${(bytes / unit[1]).toFixed(2)} ${unit[0]}` : `${bytes} B`;
}
