/**
 * The kernel's own WireGuard: a link of kind `wireguard`, configured by generic netlink.
 *
 *   const device = await openKernelDevice({ name: "wg0" }); await device.configure(change);
 *
 * Needs Linux 5.6 or its module, and CAP_NET_ADMIN in the network namespace. The link carries the alias `culvert`, so
 * that what a killed process left is known for ours. It is made down, without addresses: `rtnetlink.ts` does the rest.
 * The calls take the time the kernel takes, milliseconds at most, on the calling thread; see `netlink.ts`.
 */

import { CulvertError } from "../../protocol/errors.ts";
import { encodeGetFamily, readFamily } from "../../protocol/genetlink.ts";
import { checkDeviceChange } from "../../protocol/wireguard/check_change.ts";
import {
  encodeGetDevice,
  encodeSetDevice,
  readDevice,
  WIREGUARD_FAMILY,
  withoutAllowedIpRemovals,
} from "../../protocol/wireguard/netlink.ts";
import type { DeviceChange, DeviceStatus } from "../../protocol/wireguard/settings.ts";
import { Errno, SysError } from "../errno.ts";
import { type Libc, openLibc } from "../libc.ts";
import { NETLINK_GENERIC, NetlinkSocket } from "../netlink.ts";
import { type LinkEvent, RtNetlink } from "../rtnetlink.ts";
import type { WireGuardDevice } from "./device.ts";

/** Written on every link we make. */
export const LINK_ALIAS = "culvert";
const WIREGUARD_KIND = "wireguard";
/** The bit of CAP_NET_ADMIN in the capabilities that /proc shows. */
const CAP_NET_ADMIN_BIT = 12n;

export interface KernelDeviceOptions {
  readonly name: string;
  readonly mtu?: number;
  /**
   * Take away a link of this name first if it is ours by its alias and kind. Only for a caller who knows that nobody
   * uses it any more; otherwise a link of this name is an error.
   */
  readonly replaceStale?: boolean;
}

export interface KernelSupport {
  readonly available: boolean;
  /** Why not, for people; undefined when it is. */
  readonly reason?: string;
}

/** Whether this process can make kernel devices here and now. Loads the module where there is one. */
export function kernelWireGuardSupport(): KernelSupport {
  const reason = reasonAgainst();
  return reason === undefined ? { available: true } : { available: false, reason };
}

function reasonAgainst(): string | undefined {
  if (Deno.build.os !== "linux") return `the kernel's WireGuard is Linux's, this is ${Deno.build.os}`;
  using libc = openLibc();
  using socket = new NetlinkSocket(libc, NETLINK_GENERIC);
  if (findFamily(socket) === undefined) {
    return `this kernel (${Deno.osRelease()}) has no WireGuard: its module is not installed or cannot be loaded`;
  }
  return hasNetAdmin() ? undefined : "making network interfaces needs root or CAP_NET_ADMIN";
}

/** The number of the family; undefined in a kernel without WireGuard. */
function findFamily(socket: NetlinkSocket): number | undefined {
  try {
    const answers = socket.request("find the kernel's WireGuard", encodeGetFamily(WIREGUARD_FAMILY));
    return answers.map(readFamily).find((family) => family !== undefined);
  } catch (error) {
    if (error instanceof SysError && error.errno === Errno.ENOENT) return undefined;
    throw error;
  }
}

function hasNetAdmin(): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1] ?? "0";
  return (BigInt(`0x${mask}`) >> CAP_NET_ADMIN_BIT & 1n) === 1n;
}

/** Makes the link. Rejects, and leaves nothing, when it cannot. */
export function openKernelDevice(options: KernelDeviceOptions): Promise<WireGuardDevice> {
  return Promise.try(() => {
    const { available, reason } = kernelWireGuardSupport();
    if (!available) {
      throw new CulvertError("unsupported", `Cannot create the WireGuard device ${options.name}: ${reason}`);
    }
    return KernelDevice.create(options);
  });
}

/** What a kernel device says of itself, whoever made it. Needs CAP_NET_ADMIN. */
export function kernelDeviceStatus(name: string): Promise<DeviceStatus> {
  return Promise.try(() => {
    using libc = openLibc();
    using socket = new NetlinkSocket(libc, NETLINK_GENERIC);
    const family = findFamily(socket);
    if (family === undefined) throw new CulvertError("unsupported", `Cannot read ${name}: the kernel has no WireGuard`);
    return readDevice(family, socket.request(`read ${name}`, encodeGetDevice(family, name)));
  });
}

class KernelDevice implements WireGuardDevice {
  readonly interfaceName: string;
  readonly backend = "kernel";
  readonly ended: Promise<Error | undefined>;
  readonly #libc: Libc;
  readonly #links: RtNetlink;
  readonly #socket: NetlinkSocket;
  readonly #family: number;
  readonly #index: number;
  readonly #stop = new AbortController();
  #closed: Promise<void> | undefined;

  private constructor(options: KernelDeviceOptions, resources: DisposableStack) {
    const { name, mtu, replaceStale = false } = options;
    this.interfaceName = name;
    this.#libc = resources.use(openLibc());
    this.#links = resources.use(new RtNetlink(this.#libc));
    this.#socket = resources.use(new NetlinkSocket(this.#libc, NETLINK_GENERIC));
    this.#family = findFamily(this.#socket)!;
    if (replaceStale) this.#removeStale();
    this.#index = this.#links.createLink({ name, kind: WIREGUARD_KIND, ...mtu !== undefined && { mtu } }).index;
    resources.defer(() => this.#links.removeLink(this.#index));
    this.#links.changeLink(this.#index, { alias: LINK_ALIAS });
    this.ended = this.#watch(this.#links.watchLinks(this.#stop.signal)).finally(() => resources.dispose());
  }

  static create(options: KernelDeviceOptions): KernelDevice {
    using resources = new DisposableStack();
    const kept = new DisposableStack();
    resources.defer(() => kept.dispose());
    const device = new KernelDevice(options, kept);
    resources.move();
    return device;
  }

  #removeStale(): void {
    const link = this.#links.link(this.interfaceName);
    if (link?.alias === LINK_ALIAS && link.kind === WIREGUARD_KIND) this.#links.removeLink(link.index);
  }

  /** Until the device is closed or its link gone. */
  async #watch(events: AsyncIterable<LinkEvent>): Promise<Error | undefined> {
    try {
      for await (const event of events) {
        if (event.kind === "set" || (event.kind === "removed" && event.link.index !== this.#index)) continue;
        if (event.kind === "missed" && this.#links.link(this.#index)) continue;
        return new CulvertError("removed", `The interface ${this.interfaceName} was removed`);
      }
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  configure(change: DeviceChange): Promise<void> {
    return Promise.try(() => {
      checkDeviceChange(change);
      try {
        this.#set(change);
      } catch (error) {
        const removes = change.peers?.some((peer) => peer.allowedIps?.some(({ remove }) => remove));
        if (!removes || !(error instanceof SysError) || error.errno !== Errno.EINVAL) throw error;
        const spareKey = crypto.getRandomValues(new Uint8Array(32));
        this.#set(withoutAllowedIpRemovals(change, this.#get(), spareKey));
      }
    });
  }

  #set(change: DeviceChange): void {
    for (const message of encodeSetDevice(this.#family, this.#index, change)) {
      this.#socket.request(`configure ${this.interfaceName}`, message);
    }
  }

  status(): Promise<DeviceStatus> {
    return Promise.try(() => this.#get());
  }

  #get(): DeviceStatus {
    const request = encodeGetDevice(this.#family, this.#index);
    return readDevice(this.#family, this.#socket.request(`read ${this.interfaceName}`, request));
  }

  /** The end of the watch takes the link away, and with it all that is open. */
  close(): Promise<void> {
    this.#stop.abort();
    return this.#closed ??= this.ended.then(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
