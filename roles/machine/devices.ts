/**
 * Which device carries the packets: the kernel's own where it has one, ours on a TUN interface otherwise. An interface so
 * that tests can put others in their place.
 */

import type { WireGuardDevice } from "../../native/wireguard/device.ts";
import { type KernelSupport, kernelWireGuardSupport, openKernelDevice } from "../../native/wireguard/kernel.ts";
import { openUserspaceDevice } from "../../native/wireguard/userspace.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Log } from "../../protocol/log.ts";

export const BACKENDS = ["auto", "kernel", "userspace"] as const;
export type Backend = typeof BACKENDS[number];
export type ChosenBackend = Exclude<Backend, "auto">;

export interface DeviceOptions {
  readonly name: string;
  readonly mtu: number;
  readonly log: Log;
}

export interface DeviceMaker {
  kernelSupport(): KernelSupport;
  open(backend: ChosenBackend, options: DeviceOptions): Promise<WireGuardDevice>;
}

/** Those of this machine. */
export const hostDevices: DeviceMaker = {
  kernelSupport: kernelWireGuardSupport,
  open(backend, { name, mtu, log }) {
    return backend === "kernel" ? openKernelDevice({ name, mtu }) : openUserspaceDevice({ name, mtu, log });
  },
};

/** The backend to use. Throws `unsupported` when the kernel's is asked for and it has none. */
export function chooseBackend(wanted: Backend, maker: DeviceMaker, log: Log): ChosenBackend {
  if (wanted === "userspace") return wanted;
  const { available, reason } = maker.kernelSupport();
  if (available) return "kernel";
  if (wanted === "auto") {
    log.info("Using the userspace device", { reason });
    return "userspace";
  }
  throw new CulvertError(
    "unsupported",
    `Cannot use the kernel's WireGuard: ${reason}; --backend userspace needs no module`,
  );
}
