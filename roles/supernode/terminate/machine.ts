/**
 * What the terminating relay needs of the machine it runs on, so that tests can put another in its place.
 */

import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import type { RtNetlink } from "../../../native/rtnetlink.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import type { IpAddress } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Random } from "../../../protocol/random.ts";
import type { Key } from "../../../protocol/wireguard/settings.ts";
import type { ChosenBackend, DeviceMaker } from "../../machine/devices.ts";
import type { Journal, Undo } from "../../machine/journal.ts";
import type { PacketFilter } from "./relay_firewall.ts";

export type RelayNetwork = Pick<
  RtNetlink,
  | "link"
  | "changeLink"
  | "addAddress"
  | "removeAddress"
  | "addRoute"
  | "removeRoute"
  | "routes"
  | "addRule"
  | "removeRule"
>;

/** Asks the gateway at the other end of a tunnel. */
export interface GatewayProbe extends Disposable {
  /** Whether the exit's own way out works. Rejects when there is no answer in time. */
  ask(gateway: IpAddress, withinMs: number, signal: AbortSignal): Promise<boolean>;
}

export interface RelayMachine {
  readonly network: RelayNetwork;
  readonly devices: Pick<DeviceMaker, "open">;
  readonly backend: ChosenBackend;
  readonly filter: PacketFilter;
  readonly journal: Pick<Journal, "record" | "othersSetting" | "undos">;
  /** Has packets that come in by an interface of ours go out by others, as its routes and marks say. */
  forwardFrom(interfaceName: string, families: readonly (4 | 6)[]): Promise<void>;
  /** Asks out of that interface, whatever the routes say. */
  probe(interfaceName: string): GatewayProbe;
  /** Answers probes at these addresses: `isOk` says whether what comes from an address gets out. */
  serveGateway(gateways: readonly IpAddress[], isOk: (client: IpAddress) => boolean): AsyncDisposable;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Notes what is to be undone; once, however often it is done. */
export async function noteUndo({ journal }: Pick<RelayMachine, "journal">, undo: Undo): Promise<void> {
  const text = JSON.stringify(undo);
  if (!journal.undos.some((one) => JSON.stringify(one) === text)) await journal.record(undo);
}

/** A device and its interface, which has a name that nobody else uses. */
export async function openDevice(
  machine: RelayMachine,
  { name, mtu }: { readonly name: string; readonly mtu: number },
): Promise<{ readonly device: WireGuardDevice; readonly linkIndex: number }> {
  const { backend, devices, network, log } = machine;
  if (backend === "kernel") await noteUndo(machine, { kind: "link", name });
  const device = await devices.open(backend, { name, mtu, log });
  const link = network.link(device.interfaceName);
  if (link) return { device, linkIndex: link.index };
  await device.close();
  throw new CulvertError("removed", `Cannot set up ${name}: the interface must be there, and is gone`);
}

/** Gives the device its key and the first of the ports that is free; rejects with `no_port`. */
export async function listen(
  device: WireGuardDevice,
  { privateKey, ports }: { readonly privateKey: Key; readonly ports: readonly number[] },
): Promise<number> {
  let cause: unknown;
  for (const listenPort of ports) {
    try {
      await device.configure({ privateKey, listenPort });
      return (await device.status()).listenPort;
    } catch (error) {
      cause = error;
    }
  }
  const why = `none of ${ports.length} UDP ports can be had: ${messageOf(cause)}`;
  throw new CulvertError("no_port", `Cannot listen at ${device.interfaceName}: ${why}`, { cause });
}
