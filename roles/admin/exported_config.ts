/**
 * What a stock WireGuard app is configured with: the device's key and what its session was offered, as a wg-quick file.
 *
 * Everything is routed into the tunnel, IPv6 as well where the exit has none: it then goes nowhere, instead of past it.
 * Nothing here is decided by chance or by the time, so that the same session always gives the same text.
 */

import type { SessionOffer } from "../../protocol/control/commands.ts";
import type { PacketOffer } from "../../protocol/control/packets.ts";
import { decodeBase64 } from "../../protocol/encoding.ts";
import type { Identity } from "../../protocol/identity.ts";
import { parseCidr, parseIp } from "../../protocol/ip.ts";
import { emptyQuickConfig } from "../../protocol/wireguard/quick_config.ts";
import { formatQuickConfig } from "../../protocol/wireguard/quick_config_text.ts";
import { splitHostAndPort } from "../../protocol/wireguard/endpoint.ts";

/** Keeps the way open through any NAT (RFC 4787 §4.3 has 30 s where few hold less), as wg(8) advises. */
const KEEPALIVE_S = 25;
const EVERYTHING = ["0.0.0.0/0", "::/0"];

/** An offer that carries packets. */
export type ExportedOffer = SessionOffer & { readonly packets: PacketOffer };

/** The file without a comment, small enough for a QR code that a terminal of 80 columns can show. */
export function exportedConfig(identity: Identity, { exit, packets }: ExportedOffer): string {
  const { addresses, dns, mtu, endpoint, terminatedBy = exit } = packets;
  return formatQuickConfig({
    ...emptyQuickConfig(),
    privateKey: identity.secrets().wireguardKey,
    addresses: addresses.map((text) => parseCidr(text)!),
    dnsServers: dns.map((text) => parseIp(text)!),
    mtu,
    peers: [{
      publicKey: decodeBase64(terminatedBy.wireguardKey)!,
      allowedIps: EVERYTHING.map((text) => parseCidr(text)!),
      endpoint: splitHostAndPort(endpoint)!,
      persistentKeepaliveS: KEEPALIVE_S,
    }],
  });
}

export interface Provenance {
  readonly name: string;
  readonly peerId: string;
  readonly sessionId: string;
  readonly supernodeId: string;
  readonly expiresAtMs: number;
}

/** The same for people, who find it years later and want to know what it is. */
export function commentedConfig(config: string, offer: ExportedOffer, made: Provenance): string {
  const { exit, region, packets } = offer;
  const way = packets.terminatedBy
    ? [
      `# Relay: terminate. The supernode ${made.supernodeId} can read what passes,`,
      "# and takes another exit when one stops.",
    ]
    : [
      "# Relay: blind. Only the exit can read what passes; when that stops, so does this,",
      "# until it is back.",
    ];
  const lines = [
    `# ${made.name}, for any WireGuard app. The key in it is as good as the device: keep it to yourself.`,
    `# Works until ${utcText(made.expiresAtMs)}; made by: culvert admin export-config --peer ${made.name}`,
    `# Exit: ${exit.peerId}, ${region}.`,
    ...way,
    `# Peer id: ${made.peerId}. To end it: culvert admin end ${made.sessionId}`,
  ];
  return `${lines.join("\n")}\n\n${config}`;
}

/** To the minute, and never later than it is. */
export function utcText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}
