/**
 * `show`: the WireGuard devices of this network namespace, whoever made them: as `wg show` prints them, as its `dump`, or
 * as JSON without secrets.
 */

import { openLibc } from "../../native/libc.ts";
import { RtNetlink } from "../../native/rtnetlink.ts";
import { externalStatus } from "../../native/wireguard/external.ts";
import { kernelDeviceStatus } from "../../native/wireguard/kernel.ts";
import { answers, uapiInterfaces, uapiPathOf } from "../../native/wireguard/uapi_socket.ts";
import type { Clock } from "../../protocol/clock.ts";
import { CulvertError } from "../../protocol/errors.ts";
import { formatCidr } from "../../protocol/ip.ts";
import { formatEndpoint } from "../../protocol/wireguard/endpoint.ts";
import { keyToBase64 } from "../../protocol/wireguard/keys.ts";
import type { DeviceStatus, PeerStatus } from "../../protocol/wireguard/settings.ts";
import { formatDump, formatShow } from "../../protocol/wireguard/show.ts";
import type { RoleContext } from "../role.ts";
import { ownRights, requireRights } from "../machine/privileges.ts";

export interface ShowSettings {
  /** All of them when left out. */
  readonly interfaceName: string | undefined;
  readonly dump: boolean;
}

type ShowContext = Pick<RoleContext, "clock" | "json" | "print">;

export interface NamedStatus {
  readonly name: string;
  readonly status: DeviceStatus;
}

/** Prints one device or all. Rejects with `no_device` when the one that is asked for is none. */
export async function show({ interfaceName, dump }: ShowSettings, context: ShowContext): Promise<void> {
  requireRights(await ownRights(), {
    action: "show WireGuard devices",
    uses: ["read their keys and peers from the kernel", "reach the sockets of the others"],
  });
  const { clock, json, print } = context;
  const names = interfaceName === undefined ? await deviceNames() : [interfaceName];
  const devices = await Promise.all(names.map(async (name) => ({ name, status: await statusOf(name, clock) })));
  if (json) return print(JSON.stringify(devices.map(publicStatus)));
  const wallMs = clock.wallNow();
  const text = dump
    ? devices.map((device) => dumpText(device, interfaceName === undefined)).join("")
    : devices.map(({ name, status }) => formatShow(name, status, { wallMs })).join("\n");
  if (text !== "") print(text.trimEnd());
}

async function deviceNames(): Promise<string[]> {
  using libc = openLibc();
  using network = new RtNetlink(libc);
  const kernels = network.links().filter(({ kind }) => kind === "wireguard").map(({ name }) => name);
  const sockets = (await uapiInterfaces()).filter((name) => network.link(name));
  const answering = await Promise.all(sockets.map((name) => answers(uapiPathOf(name))));
  return [...new Set([...kernels, ...sockets.filter((_, at) => answering[at])])].sort();
}

async function statusOf(name: string, clock: Clock): Promise<DeviceStatus> {
  if (isKernelDevice(name)) return await kernelDeviceStatus(name);
  try {
    return await externalStatus({ name, clock });
  } catch (error) {
    if (!(error instanceof CulvertError) || error.code !== "no_device") throw error;
    throw new CulvertError("no_device", `Cannot show ${name}: it must be a WireGuard interface, and is none`, {
      cause: error,
    });
  }
}

function isKernelDevice(name: string): boolean {
  using libc = openLibc();
  using network = new RtNetlink(libc);
  return network.link(name)?.kind === "wireguard";
}

/** With the interface's name before each line when there may be several, as `wg show all dump`. */
export function dumpText({ name, status }: NamedStatus, isOneOfMany: boolean): string {
  const text = formatDump(status);
  return isOneOfMany ? text.replace(/^(?=.)/gm, `${name}\t`) : text;
}

/** For programs; keys that are secret are only said to be there. */
export function publicStatus({ name, status }: NamedStatus): Record<string, unknown> {
  return {
    interface: name,
    publicKey: status.publicKey ? keyToBase64(status.publicKey) : null,
    listenPort: status.listenPort,
    fwmark: status.fwmark,
    peers: status.peers.map(publicPeer),
  };
}

function publicPeer(peer: PeerStatus): Record<string, unknown> {
  return {
    publicKey: keyToBase64(peer.publicKey),
    hasPresharedKey: peer.presharedKey !== undefined,
    endpoint: peer.endpoint ? formatEndpoint(peer.endpoint) : null,
    allowedIps: peer.allowedIps.map(formatCidr),
    latestHandshake: peer.lastHandshakeMs > 0 ? new Date(peer.lastHandshakeMs).toISOString() : null,
    receivedBytes: peer.receivedBytes,
    sentBytes: peer.sentBytes,
    persistentKeepaliveS: peer.persistentKeepaliveS,
  };
}
