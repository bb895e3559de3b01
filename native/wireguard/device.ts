/**
 * A WireGuard device, whoever makes it: `kernel.ts` (the kernel's own), `userspace.ts` (our engine on a TUN device),
 * `external.ts` (any program that offers a UAPI socket). All pass `fixtures/device_contract.ts`.
 *
 * A device carries packets between its interface and its peers. Its addresses, routes and MTU are not its business:
 * `native/rtnetlink.ts` sets them on the interface by name.
 */

import type { DeviceChange, DeviceStatus } from "../../protocol/wireguard/settings.ts";

export interface WireGuardDevice extends AsyncDisposable {
  readonly interfaceName: string;
  readonly backend: "kernel" | "userspace" | "external";
  /** Applies a change as a whole, or rejects and says what was wrong with it. */
  configure(change: DeviceChange): Promise<void>;
  status(): Promise<DeviceStatus>;
  /** Settles when the device has ended: undefined after `close`, otherwise what ended it (its interface was removed). */
  readonly ended: Promise<Error | undefined>;
  /** Takes the device away, its interface with it (an external device is only let go of). The second time harmless. */
  close(): Promise<void>;
}
