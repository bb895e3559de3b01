/**
 * A WireGuard device of our own on a TUN interface: the maker, and the main thread's end of it.
 *
 *   configure, status ─▶ message + eventfd ─▶ Worker: main_userspace.ts ─▶ engine.ts (poll loop) ⇄ TUN, UDP
 *
 * The packets never touch the main thread, and what the main thread does never holds up a packet. Needs CAP_NET_ADMIN for
 * the interface. Addresses and routes are not set here.
 */

import { type Log, silentLog } from "../../protocol/log.ts";
import { checkDeviceChange } from "../../protocol/wireguard/check_change.ts";
import { DEFAULT_MTU } from "../../protocol/wireguard/constants.ts";
import type { DeviceChange, DeviceStatus } from "../../protocol/wireguard/settings.ts";
import { EngineWorker } from "../engine_worker.ts";
import type { WireGuardDevice } from "./device.ts";
import type { DeviceTalk } from "./engine_messages.ts";

export interface UserspaceOptions {
  /** What the interface shall be called; a `%d` in it is replaced by the first free number. */
  readonly name: string;
  /** Default 1420. */
  readonly mtu?: number;
  readonly log?: Log;
  /** Use the portable primitives even where libcrypto loads. Default false. */
  readonly portableCrypto?: boolean;
  /** Let the kernel hand over and take many packets at once, where it can. Default true. */
  readonly offload?: boolean;
}

/** Makes the interface and starts the engine; rejects with the reason when either cannot be. */
export async function openUserspaceDevice(options: UserspaceOptions): Promise<WireGuardDevice> {
  const device = new UserspaceDevice(options);
  try {
    await device.opened();
    return device;
  } catch (error) {
    await device.close();
    throw error;
  }
}

/** How many peers cross between the threads at once. */
const PEERS_PER_PART = 256;

class UserspaceDevice implements WireGuardDevice {
  readonly backend = "userspace";
  readonly #engine: EngineWorker<DeviceTalk>;
  #interfaceName: string;
  /** Changes are made one after another. */
  #configuring: Promise<void> = Promise.resolve();

  constructor(options: UserspaceOptions) {
    const { name, mtu = DEFAULT_MTU, log = silentLog, portableCrypto = false, offload = true } = options;
    this.#interfaceName = name;
    this.#engine = new EngineWorker({
      module: new URL("./main_userspace.ts", import.meta.url),
      name: "wireguard",
      title: () => `device ${this.#interfaceName}`,
      start: { name, mtu, portableCrypto, offload },
      log,
    });
  }

  /** Rejects with the reason when it cannot be. */
  async opened(): Promise<void> {
    this.#interfaceName = await this.#engine.started;
  }

  get ended(): Promise<Error | undefined> {
    return this.#engine.ended;
  }

  get interfaceName(): string {
    return this.#interfaceName;
  }

  /** In parts, so that what ten thousand peers take on their way between the threads is free again after each. */
  async configure(change: DeviceChange): Promise<void> {
    checkDeviceChange(change);
    const before = this.#configuring;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#configuring = promise;
    try {
      await before;
      for (const part of partsOf(change)) await this.#engine.ask({ type: "configure", change: part });
    } finally {
      resolve();
    }
  }

  async status(): Promise<DeviceStatus> {
    return (await this.#engine.ask({ type: "status" }))!;
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What cannot be refused any more goes after what can: the device's own settings and the first peers are one part. */
function* partsOf(change: DeviceChange): Generator<DeviceChange> {
  const { peers, ...device } = change;
  if (!peers) return yield change;
  yield { ...device, peers: peers.slice(0, PEERS_PER_PART) };
  for (let at = PEERS_PER_PART; at < peers.length; at += PEERS_PER_PART) {
    yield { peers: peers.slice(at, at + PEERS_PER_PART) };
  }
}
