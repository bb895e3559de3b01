/**
 * A tunnel between two WireGuard devices in the guest: the keys, the addresses, and the packets to prove it with.
 *
 *   first 10.78.0.1, fd78::1, reached at 10.77.0.1       second 10.78.0.2, fd78::2, reached at 10.77.0.2
 */

import { inNamespace } from "../../../native/fixtures/in_namespace.ts";
import { openLibc } from "../../../native/libc.ts";
import { RtNetlink } from "../../../native/rtnetlink.ts";
import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import { openKernelDevice } from "../../../native/wireguard/kernel.ts";
import { portableWireGuardCrypto } from "../../../protocol/wireguard/crypto.ts";
import { parseCidr, parseIp } from "../../../protocol/ip.ts";
import type { RunOptions } from "../../../testing/netns.ts";

/** Where commands are run: a namespace of a NetLab, or this one. */
export interface Place {
  run(command: readonly string[], options?: RunOptions): Promise<unknown>;
}

/** A device and the namespace it is in; undefined for this one. */
export interface Placed extends AsyncDisposable {
  readonly device: WireGuardDevice;
  readonly namespace: string | undefined;
}

export type Side = "first" | "second";

const PORT = 51_820;
const sides = {
  first: { key: new Uint8Array(32).fill(0x48), outer: "10.77.0.1", inner: ["10.78.0.1", "fd78::1"], other: "second" },
  second: { key: new Uint8Array(32).fill(0x50), outer: "10.77.0.2", inner: ["10.78.0.2", "fd78::2"], other: "first" },
} as const;
const BITS = { 4: 24, 16: 64 } as const;

export function innerAddress(side: Side): string {
  return sides[side].inner[0];
}

export function placed(device: WireGuardDevice, namespace?: string): Placed {
  return { device, namespace, [Symbol.asyncDispose]: () => device.close() };
}

export async function openKernelDeviceIn(namespace: string): Promise<Placed> {
  return placed(await inNamespace({ name: namespace }, () => openKernelDevice({ name: "wg0", mtu: 1420 })), namespace);
}

/** Gives a device its keys, its addresses and its peer, and sets it up. */
export async function join({ device, namespace }: Placed, side: Side): Promise<void> {
  const { key, inner, other } = sides[side];
  const endpoint = { address: parseIp(sides[other].outer)!, port: PORT };
  const allowedIps = sides[other].inner.map((address) => ({ cidr: parseCidr(address)! }));
  const publicKey = portableWireGuardCrypto.x25519PublicKey(sides[other].key);
  await device.configure({ privateKey: key, listenPort: PORT, peers: [{ publicKey, endpoint, allowedIps }] });

  using libc = openLibc();
  const open = () => new RtNetlink(libc);
  using net = namespace === undefined ? open() : inNamespace({ name: namespace }, open);
  const { index: linkIndex } = net.link(device.interfaceName)!;
  for (const text of inner) {
    const address = parseIp(text)!;
    net.addAddress({ linkIndex, address, bits: BITS[address.length as 4 | 16] });
  }
  net.changeLink(linkIndex, { up: true });
}

/** Pings a side through the tunnel, small and as large as its MTU lets through, by both families. */
export async function assertPing(from: Place, to: Side): Promise<void> {
  for (const [address, headerBytes] of [[sides[to].inner[0], 28], [sides[to].inner[1], 48]] as const) {
    for (const size of [56, 1420 - headerBytes]) {
      await from.run(["ping", "-c", "3", "-i", "0.2", "-W", "5", "-M", "do", "-s", String(size), address]);
    }
  }
}
