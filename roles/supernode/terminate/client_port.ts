/**
 * The supernode's own WireGuard, as its clients find it: one interface and one UDP port for all of them, with the key that
 * the supernode's identity has signed.
 */

import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import { hostCidr, type IpAddress } from "../../../protocol/ip.ts";
import type { Key } from "../../../protocol/wireguard/settings.ts";
import type { AddressPool } from "../../exit/packets/address_pool.ts";
import { listen, openDevice, type RelayMachine } from "./machine.ts";

export interface ClientPortOptions {
  readonly interfaceName: string;
  readonly privateKey: Key;
  /** Tried in turn. */
  readonly ports: readonly number[];
  readonly mtu: number;
  /** Of the clients' addresses; their gateways are ours. */
  readonly pools: readonly AddressPool[];
}

export class ClientPort implements AsyncDisposable {
  readonly port: number;
  readonly linkIndex: number;
  readonly #device: WireGuardDevice;

  private constructor(device: WireGuardDevice, at: { readonly port: number; readonly linkIndex: number }) {
    this.#device = device;
    this.port = at.port;
    this.linkIndex = at.linkIndex;
  }

  /** Rejects, and leaves nothing, when it cannot be made. */
  static async open(options: ClientPortOptions, machine: RelayMachine): Promise<ClientPort> {
    const { interfaceName, pools, mtu } = options;
    const { network } = machine;
    await using held = new AsyncDisposableStack();
    const { device, linkIndex } = await openDevice(machine, { name: interfaceName, mtu });
    held.use(device);
    // The kernel's device takes its port only then.
    network.changeLink(linkIndex, { mtu, up: true });
    const port = await listen(device, options);
    await machine.forwardFrom(interfaceName, pools.map(({ gateway }) => gateway.length === 4 ? 4 : 6));
    for (const { gateway, network: { bits } } of pools) network.addAddress({ linkIndex, address: gateway, bits });
    held.move();
    return new ClientPort(device, { port, linkIndex });
  }

  /** What ended the device unasked. */
  get ended(): Promise<Error | undefined> {
    return this.#device.ended;
  }

  /** This client alone may send from these addresses. */
  async admit(key: Key, addresses: readonly IpAddress[]): Promise<void> {
    const allowedIps = addresses.map((address) => ({ cidr: hostCidr(address) }));
    await this.#device.configure({ peers: [{ publicKey: key, replaceAllowedIps: true, allowedIps }] });
  }

  async turnAway(key: Key): Promise<void> {
    await this.#device.configure({ peers: [{ publicKey: key, remove: true }] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#device.close();
  }
}
