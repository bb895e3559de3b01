/**
 * Configuration files of wg-quick, written: whole, as `wg-quick strip` leaves them for `wg setconf`, and out of what a
 * device says, as `wg showconf`. Comments of a file that was read are not kept.
 */

import { formatCidr, formatIp } from "../ip.ts";
import { formatTarget } from "../stream.ts";
import { formatEndpoint, splitHostAndPort } from "./endpoint.ts";
import { keyToBase64 } from "./keys.ts";
import { emptyQuickConfig, type QuickConfig, type QuickPeer } from "./quick_config.ts";
import type { DeviceStatus } from "./settings.ts";

/** With everything wg-quick adds to wg's own settings. */
export function formatQuickConfig(config: QuickConfig): string {
  return sections([...quickLines(config), ...deviceLines(config)], config.peers);
}

/** With wg's own settings only. */
export function stripQuickConfig(config: QuickConfig): string {
  return sections(deviceLines(config), config.peers);
}

/** What a device is at present. */
export function quickConfigOf(status: DeviceStatus): QuickConfig {
  return {
    ...emptyQuickConfig(),
    ...status.privateKey && { privateKey: status.privateKey },
    ...status.listenPort !== 0 && { listenPort: status.listenPort },
    ...status.fwmark !== 0 && { fwmark: status.fwmark },
    peers: status.peers.map((peer) => ({
      publicKey: peer.publicKey,
      ...peer.presharedKey && { presharedKey: peer.presharedKey },
      allowedIps: peer.allowedIps,
      ...peer.endpoint && { endpoint: splitHostAndPort(formatEndpoint(peer.endpoint))! },
      ...peer.persistentKeepaliveS !== 0 && { persistentKeepaliveS: peer.persistentKeepaliveS },
    })),
  };
}

function sections(interfaceLines: readonly string[], peers: readonly QuickPeer[]): string {
  return [["[Interface]", ...interfaceLines], ...peers.map(peerLines)]
    .map((lines) => lines.map((line) => `${line}\n`).join(""))
    .join("\n");
}

function quickLines(config: QuickConfig): string[] {
  const dns = [...config.dnsServers.map(formatIp), ...config.dnsSearchDomains];
  return [
    ...config.addresses.map(({ address, bits }) => `Address = ${formatIp(address)}/${bits}`),
    ...setting("DNS", dns.length > 0 ? dns.join(", ") : undefined),
    ...setting("MTU", config.mtu),
    ...setting("Table", config.table === "auto" ? undefined : config.table),
    ...setting("SaveConfig", config.saveConfig || undefined),
    ...config.preUp.map((command) => `PreUp = ${command}`),
    ...config.postUp.map((command) => `PostUp = ${command}`),
    ...config.preDown.map((command) => `PreDown = ${command}`),
    ...config.postDown.map((command) => `PostDown = ${command}`),
  ];
}

function deviceLines(config: QuickConfig): string[] {
  return [
    ...setting("ListenPort", config.listenPort),
    ...setting("FwMark", config.fwmark === undefined ? undefined : `0x${config.fwmark.toString(16)}`),
    ...setting("PrivateKey", config.privateKey && keyToBase64(config.privateKey)),
  ];
}

function peerLines(peer: QuickPeer): string[] {
  return [
    "[Peer]",
    `PublicKey = ${keyToBase64(peer.publicKey)}`,
    ...setting("PresharedKey", peer.presharedKey && keyToBase64(peer.presharedKey)),
    ...setting("AllowedIPs", peer.allowedIps.map(formatCidr).join(", ") || undefined),
    ...setting("Endpoint", peer.endpoint && formatTarget(peer.endpoint)),
    ...setting("PersistentKeepalive", peer.persistentKeepaliveS),
  ];
}

function setting(name: string, value: string | number | true | undefined): string[] {
  return value === undefined ? [] : [`${name} = ${value}`];
}
