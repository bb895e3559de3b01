/**
 * The exit's WireGuard interface and all that the machine has for it, brought up as one and taken away as one:
 *
 *   rights ─▶ what a killed run left ─▶ packet filter ─▶ device ─▶ its socket, addresses, MTU ─▶ forwarding
 *   stop   ─▶ device ─▶ forwarding as it was ─▶ packet filter
 *
 * The filter is there before the interface and goes after it: no packet of a client passes without it, not even when this
 * process is killed and the kernel's device goes on. What outlives the process is in the journal, and the next start takes
 * it away first.
 */

import { type Libc, openLibc } from "../../../native/libc.ts";
import type { NamedSet } from "../../../native/nft.ts";
import { RtNetlink } from "../../../native/rtnetlink.ts";
import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import { serveUapi, type UapiServer } from "../../../native/wireguard/uapi_server.ts";
import { uapiPathOf } from "../../../native/wireguard/uapi_socket.ts";
import type { Clock } from "../../../protocol/clock.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { contains, formatCidr, formatIp } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Table } from "../../../protocol/nftables/table.ts";
import { isLinkName } from "../../../protocol/rtnetlink/link.ts";
import type { Key } from "../../../protocol/wireguard/settings.ts";
import { type Backend, chooseBackend, type ChosenBackend, type DeviceMaker } from "../../machine/devices.ts";
import { holderOf, Journal, journalPathOf } from "../../machine/journal.ts";
import { noteKernelLink } from "../../machine/kernel_link.ts";
import { ownRights, requireRights, requireTun } from "../../machine/privileges.ts";
import { undoAll } from "../../machine/undo.ts";
import type { AddressPool } from "./address_pool.ts";
import { enableForwarding } from "./forwarding.ts";
import { type AddressChange, PacketFilter } from "./packet_filter.ts";

export interface ExitInterfaceOptions {
  readonly interfaceName: string;
  readonly backend: Backend;
  readonly privateKey: Key;
  readonly listenPort: number;
  readonly pools: readonly AddressPool[];
  mtuOf(network: RtNetlink): number;
  readonly table: Table;
  readonly devices: DeviceMaker;
  readonly clock: Clock;
  readonly log: Log;
}

export class ExitInterface implements AsyncDisposable {
  readonly #options: ExitInterfaceOptions;
  readonly #resources = new AsyncDisposableStack();
  readonly #libc: Libc;
  readonly network: RtNetlink;
  #filter: PacketFilter | undefined;
  #device: WireGuardDevice | undefined;
  #server: UapiServer | undefined;
  #mtu = 0;
  #listenPort = 0;

  private constructor(options: ExitInterfaceOptions) {
    this.#options = options;
    this.#libc = this.#resources.use(openLibc());
    this.network = this.#resources.use(new RtNetlink(this.#libc));
  }

  /** Throws `denied`, `unsupported`, `exists`, `pool_in_use`, `no_nftables`, `no_nat`, `no_forwarding`, and takes back what it has done. */
  static async open(options: ExitInterfaceOptions): Promise<ExitInterface> {
    const backend = await chooseWithRights(options);
    const opened = new ExitInterface(options);
    try {
      await opened.#bringUp(backend);
      return opened;
    } catch (error) {
      await opened[Symbol.asyncDispose]();
      throw error;
    }
  }

  get device(): WireGuardDevice {
    return this.#device!;
  }

  get mtu(): number {
    return this.#mtu;
  }

  get listenPort(): number {
    return this.#listenPort;
  }

  /** Settles with why the interface is there no more, unless it was disposed of. */
  get ended(): Promise<Error | undefined> {
    const { interfaceName } = this.#options;
    const removed = this.#server?.removed.then(() =>
      new CulvertError("removed", `The socket of ${interfaceName} was removed, which asks for its end`)
    );
    return Promise.race([this.device.ended, ...removed ? [removed] : []]);
  }

  /** Puts a table in the place of the present one, between two packets. */
  setTable(table: Table): void {
    this.#filter!.set(table);
  }

  /** Adds addresses to one of the table's sets, and removes others that are in it. */
  changeSet(set: Pick<NamedSet, "name" | "key">, change: AddressChange): void {
    this.#filter!.changeSet(set, change);
  }

  async #bringUp(backend: ChosenBackend): Promise<void> {
    const { interfaceName: name, table, pools, devices, clock, log, privateKey, listenPort } = this.#options;
    const journal = await this.#takeJournal();
    if (this.network.link(name)) {
      throw new CulvertError(
        "exists",
        `Cannot carry packets: the interface ${name} must not exist yet, and was not made by an exit`,
      );
    }
    this.#requireOwnPools();
    await journal.record({ kind: "firewall", table: table.name });
    this.#filter = new PacketFilter({ libc: this.#libc, endsWithProcess: backend === "userspace", clock, log });
    this.#filter.set(table);
    if (backend === "kernel") await noteKernelLink(name, journal);
    this.#mtu = this.#options.mtuOf(this.network);
    // Closed before the journal is worked off: nothing is passed on while the filter goes.
    this.#device = await devices.open(backend, { name, mtu: this.#mtu, log });
    if (this.#device.backend === "userspace") await this.#offer(this.#device, journal);
    await this.#device.configure({ privateKey, listenPort, replacePeers: true });
    this.#listenPort = (await this.#device.status()).listenPort;
    this.#setAddresses(name);
    const families = pools.map(({ network }) => network.address.length === 4 ? 4 : 6);
    await enableForwarding(families, { network: this.network, journal });
  }

  /** The filter would cut this machine off from a network with the addresses of its clients. */
  #requireOwnPools(): void {
    for (const { linkIndex, address } of this.network.addresses()) {
      const pool = this.#options.pools.find(({ network }) => contains(network, address));
      if (!pool) continue;
      const where = this.network.link(linkIndex)?.name ?? "another interface";
      throw new CulvertError(
        "pool_in_use",
        `Cannot carry packets: the pool ${formatCidr(pool.network)} must hold no address of this machine, and ` +
          `${where} has ${formatIp(address)}; --pool and --pool6 give others`,
      );
    }
  }

  /** Offers a device of our own to `wg`. Its socket's name is the machine's, not the namespace's, so it may be taken. */
  async #offer(device: WireGuardDevice, journal: Journal): Promise<void> {
    const { interfaceName, log } = this.#options;
    await journal.record({ kind: "socket", path: uapiPathOf(interfaceName) });
    try {
      this.#server = await serveUapi(device, { log });
    } catch (error) {
      if (!(error instanceof CulvertError) || error.code !== "in_use") throw error;
      log.warn("The device is not shown by `wg`: a device of its name elsewhere on this machine is");
    }
  }

  /** Takes away what a killed run has left. */
  async #takeJournal(): Promise<Journal> {
    const { interfaceName, log } = this.#options;
    const path = await journalPathOf(interfaceName);
    const journal = await Journal.take(path);
    if (!journal) {
      const holder = await holderOf(path);
      throw new CulvertError(
        "exists",
        `Cannot carry packets: ${interfaceName} is in use${holder === undefined ? "" : ` by process ${holder}`}; ` +
          "--interface gives it another name",
      );
    }
    this.#resources.use(journal);
    if (journal.undos.length > 0) {
      log.warn("Taking away what a run that was killed has left", { interface: interfaceName });
      await undoAll(journal, this.network, log);
    }
    this.#resources.defer(async () => {
      await undoAll(journal, this.network, log);
      await journal.finish();
    });
    this.#resources.defer(async () => {
      await this.#server?.close();
      await this.#device?.close();
      this.#filter?.[Symbol.dispose]();
    });
    return journal;
  }

  #setAddresses(name: string): void {
    const link = this.network.link(name);
    if (!link) throw new CulvertError("removed", `Cannot set up ${name}: the interface must be there, and is gone`);
    for (const { gateway: address, network: { bits } } of this.#options.pools) {
      try {
        this.network.addAddress({ linkIndex: link.index, address, bits });
      } catch (error) {
        const what = `${formatIp(address)}/${bits}`;
        throw new CulvertError("network_refused", `Cannot give ${name} the address ${what}: ${messageOf(error)}`, {
          cause: error,
        });
      }
    }
    this.network.changeLink(link.index, { mtu: this.#mtu, up: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

async function chooseWithRights(
  { interfaceName, backend, devices, log }: ExitInterfaceOptions,
): Promise<ChosenBackend> {
  if (!isLinkName(interfaceName)) {
    throw new CulvertError(
      "bad_name",
      `Cannot carry packets: the interface's name must be 1 to 15 plain letters, got "${interfaceName}"`,
    );
  }
  await requirePacketRights();
  const chosen = chooseBackend(backend, devices, log);
  requireTun(await ownRights(), chosen, interfaceName);
  return chosen;
}

/** Throws `denied` where this process may not do what carrying packets takes. */
export async function requirePacketRights(): Promise<void> {
  requireRights(await ownRights(), {
    action: "carry packets (--tun)",
    uses: ["create the network interface", "pass packets on", "set up the packet filter and NAT"],
  });
}
