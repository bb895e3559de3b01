/**
 * Packets of clients, let out here: what a session that carries packets is to an exit.
 *
 *   setUp   ─▶ the relay's address ─▶ addresses for the client ─▶ a peer of the device ─▶ grant
 *   remove  ─▶ the peer goes with its client's last session, or is looked for where another one is relayed
 *
 * One change at a time, each whole or not at all. The client is told nothing here: the device begins by itself to shake
 * hands by way of the relay, which opens this machine's own NAT, and says something every 20 seconds to keep it open.
 */

import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import { orAborted } from "../../../protocol/abort.ts";
import type { Clock } from "../../../protocol/clock.ts";
import type { PacketGrant, PacketSetup, PacketTelemetry } from "../../../protocol/control/packets.ts";
import type { EgressPolicy, PolicySource } from "../../../protocol/egress_policy.ts";
import { decodeBase64 } from "../../../protocol/encoding.ts";
import { CulvertError, messageOf } from "../../../protocol/errors.ts";
import { type Cidr, formatCidr, formatIp, hostCidr, type IpAddress, parseCidr } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Table } from "../../../protocol/nftables/table.ts";
import { equalEndpoints } from "../../../protocol/wireguard/endpoint.ts";
import type { Endpoint, Key } from "../../../protocol/wireguard/settings.ts";
import type { Backend, DeviceMaker } from "../../machine/devices.ts";
import { type MtuView, tunnelMtu } from "../../wireguard/mtu.ts";
import { AddressPool } from "./address_pool.ts";
import { type ClientPeer, ClientTable } from "./client_table.ts";
import { ExitInterface } from "./exit_interface.ts";
import { hasIpv6 } from "./forwarding.ts";
import { packetTable, SHARED } from "./packet_table.ts";
import { type Lookup, relayAddress } from "./relay_address.ts";

/** Most NATs forget a UDP flow after 30 s of silence. */
const KEEPALIVE_S = 20;
/** IPv6 asks for this much of every link. */
const MIN_MTU = 1280;
const BYTES_PER_MEGABIT = 125_000;

export interface PacketSettings {
  readonly interfaceName: string;
  readonly backend: Backend;
  readonly pool: Cidr;
  /** `auto`: one of our own if the machine has IPv6. */
  readonly pool6: Cidr | "auto" | "none";
  readonly listenPort: number;
  readonly clientRateMbps?: number | undefined;
}

export interface PacketTools {
  /** The exit's registered X25519 key. */
  readonly privateKey: Key;
  readonly policy: PolicySource;
  readonly devices: DeviceMaker;
  readonly lookup: Lookup;
  readonly clock: Clock;
  readonly log: Log;
}

/** A session as it was ordered. */
export interface PacketOrder {
  readonly sessionId: string;
  /** Whose key it is; what earlier versions have stored does not say. */
  readonly clientPeerId?: string | undefined;
  /** The client's key, in base64. */
  readonly clientKey: string;
  readonly setup: PacketSetup;
  /** The addresses that the client would like to have, as networks of one address. */
  readonly wishes: readonly string[];
}

/** A session as it is stored. */
export type GrantedPackets = PacketSetup & { readonly grant: PacketGrant };

/**
 * Of every exit alike, as 10.201.0.0/16 is: a client that moves from one to another keeps its address, and what it has
 * bound to that address goes on. Unique local (RFC 4193), and translated on the way out.
 */
const DEFAULT_POOL6 = parseCidr("fdc7:1be5:c001::/64")!;

/** The interface as the service uses it. */
export type PacketInterface =
  & Pick<ExitInterface, "device" | "mtu" | "listenPort" | "ended" | "setTable" | "changeSet">
  & { readonly network: MtuView }
  & AsyncDisposable;

export class PacketService implements AsyncDisposable {
  readonly #settings: PacketSettings;
  readonly #tools: PacketTools;
  readonly #interface: PacketInterface;
  readonly #pools: readonly AddressPool[];
  readonly #clients: ClientTable;
  readonly #granted = new Map<string, GrantedPackets>();
  readonly #watching: Disposable;
  /** The addresses behind which there are many clients, as the packet filter knows them. */
  #shared: readonly string[] = [];
  /** Told of a client whose last session has ended. */
  onClientGone: (key: Key) => void = () => {};
  /** Makes this machine known to the new relay of a client that has keys with the device; false when that cannot be done. */
  knock: (client: ClientPeer) => boolean = () => false;
  /** Called when a session has ended. */
  #onEnd = () => {};
  /** Changes of the device, one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** Over an interface that is up, with these pools' gateways on it; it is taken away with the service. */
  constructor(
    settings: PacketSettings,
    tools: PacketTools,
    opened: { readonly packetInterface: PacketInterface; readonly pools: readonly AddressPool[] },
  ) {
    this.#settings = settings;
    this.#tools = tools;
    this.#interface = opened.packetInterface;
    this.#pools = opened.pools;
    this.#clients = new ClientTable(opened.pools);
    this.#watching = tools.policy.subscribe(() => this.#follow(tools.policy.current));
  }

  /** Brings the interface up; takes back what it has done when it rejects. */
  static async open(settings: PacketSettings, tools: PacketTools): Promise<PacketService> {
    const pools = await poolsOf(settings);
    tell(tools.policy.current, tools.log);
    const packetInterface = await ExitInterface.open({
      ...settings,
      ...tools,
      pools,
      mtuOf: (network) => Math.max(MIN_MTU, tunnelMtu([], network)),
      table: tableFor(settings, pools, tools.policy.current),
    });
    return new PacketService(settings, tools, { packetInterface, pools });
  }

  get device(): WireGuardDevice {
    return this.#interface.device;
  }

  get listenPort(): number {
    return this.#interface.listenPort;
  }

  /** The exit's addresses in the tunnel. */
  get gateways(): readonly IpAddress[] {
    return this.#pools.map(({ gateway }) => gateway);
  }

  /** The networks that are inside the tunnel. */
  get networks(): readonly Cidr[] {
    return this.#pools.map(({ network }) => network);
  }

  /** Settles with what ended it unasked. */
  get ended(): Promise<Error | undefined> {
    return this.#interface.ended;
  }

  get telemetry(): PacketTelemetry {
    const { clientRateMbps } = this.#settings;
    return {
      spareClients: this.#clients.spareClients,
      ...clientRateMbps !== undefined && { limitMbps: clientRateMbps },
    };
  }

  /** The client that has an address in the tunnel. */
  clientAt(address: IpAddress): ClientPeer | undefined {
    return this.#clients.clientAt(address);
  }

  /** Whether there are many clients behind an address, a supernode's. */
  isShared(address: string): boolean {
    return this.#shared.includes(`${address}/${address.includes(":") ? 128 : 32}`);
  }

  /** What a session was ordered and granted. */
  granted(sessionId: string): GrantedPackets | undefined {
    return this.#granted.get(sessionId);
  }

  /**
   * Lets a client's packets in; one that is there may have moved. Throws `no_address`, `bad_relay`, `key_in_use`; then
   * the session is not there.
   */
  async setUp(order: PacketOrder, signal: AbortSignal): Promise<GrantedPackets> {
    const { sessionId, clientPeerId, setup, wishes } = order;
    const clientKey = decodeBase64(order.clientKey) as Key;
    const relayAt = await relayAddress(setup.relay, { ...this.#tools, tunnels: this.networks, signal });
    return await this.#alone(async () => {
      if (this.#clients.keyOf(sessionId)?.toHex() !== clientKey.toHex()) await this.#letGo(sessionId);
      const before = this.#clients.peerOf(clientKey);
      const peer = this.#clients.add({ sessionId, clientPeerId, clientKey, relayAt, wishes: wishes.map(addressIn) });
      try {
        const hasMoved = before && !equalEndpoints(before.relayAt, relayAt);
        // A supernode that terminates tunnels has none to hear a knock, and has perhaps forgotten its keys.
        const isKnocked = hasMoved && !setup.isTerminated && this.knock(peer);
        if (!before || (hasMoved && !isKnocked)) await this.#begin(peer);
      } catch (error) {
        await this.#letGo(sessionId).catch(() => {}); // the first failure is the one to tell
        throw error;
      }
      const granted = { ...setup, grant: this.#grant(peer) };
      this.#granted.set(sessionId, granted);
      this.#share();
      return granted;
    });
  }

  /** Lets go of a session; harmless when there is none of that id. */
  async remove(sessionId: string): Promise<void> {
    await this.#alone(() => this.#letGo(sessionId));
  }

  /** The same, in its own time; a failure is logged. */
  drop(sessionId: string): void {
    this.remove(sessionId).catch((error) => {
      this.#tools.log.error("A client's packets could not be shut out", { error: messageOf(error) });
    });
  }

  /** Settles when there is no session any more, or with the signal. */
  async drained(signal: AbortSignal): Promise<void> {
    while (this.#granted.size > 0 && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onEnd = resolve;
      await orAborted(promise, signal).catch(() => {});
    }
  }

  async #letGo(sessionId: string): Promise<void> {
    const key = this.#clients.keyOf(sessionId);
    if (!key) return;
    const old = this.#clients.peerOf(key)!;
    const relayAt = this.#clients.relayOf(sessionId)!;
    this.#clients.remove(sessionId);
    this.#granted.delete(sessionId);
    this.#onEnd();
    const left = this.#clients.peerOf(key);
    if (!left) {
      this.onClientGone(key);
      await this.device.configure({ peers: [{ publicKey: key, remove: true }] });
    } else if (!equalEndpoints(old.relayAt, left.relayAt) || await this.#isStillAt(relayAt, left)) {
      await this.#begin(left);
    }
    this.#share();
  }

  /** Whether the device still looks for a client at a relay that it had: one that was knocked for, and has not come yet. */
  async #isStillAt(relayAt: Endpoint, { key, relayAt: present }: ClientPeer): Promise<boolean> {
    if (equalEndpoints(relayAt, present)) return false;
    const { peers } = await this.device.status();
    const endpoint = peers.find(({ publicKey }) => publicKey.toHex() === key.toHex())?.endpoint;
    return endpoint !== undefined && equalEndpoints(endpoint, relayAt);
  }

  /**
   * Anew, so that the device shakes hands by way of that relay at once: a relay learns where we are from nothing else. What
   * the client sends until then is lost.
   */
  async #begin({ key, addresses, relayAt }: ClientPeer): Promise<void> {
    await this.device.configure({ peers: [{ publicKey: key, remove: true }] });
    await this.device.configure({
      peers: [{
        publicKey: key,
        endpoint: relayAt,
        persistentKeepaliveS: KEEPALIVE_S,
        replaceAllowedIps: true,
        allowedIps: addresses.map((address) => ({ cidr: hostCidr(address) })),
      }],
    });
  }

  #grant({ addresses, relayAt }: ClientPeer): PacketGrant {
    const gateways = this.gateways.map(formatIp);
    const wayMtu = Math.max(MIN_MTU, tunnelMtu([relayAt], this.#interface.network));
    return {
      addresses: addresses.map((address) => formatCidr(hostCidr(address))),
      gateways,
      dns: gateways,
      mtu: Math.min(this.#interface.mtu, wayMtu),
    };
  }

  /** A supernode that terminates its clients' tunnels is many clients in one. */
  #share(): void {
    try {
      this.#shareNow();
    } catch (error) {
      this.#tools.log.error("A supernode's rates could not be set", { error: messageOf(error) });
    }
  }

  #shareNow(): void {
    const terminating = [...this.#granted.values()].filter(({ isTerminated }) => isTerminated);
    const shared = [...new Set(terminating.flatMap(({ grant }) => grant.addresses))];
    for (const bytes of [4, 16] as const) {
      const isNew = (address: string) => addressIn(address).length === bytes && !this.#shared.includes(address);
      const isOld = (address: string) => addressIn(address).length === bytes && !shared.includes(address);
      const [add, remove] = [shared.filter(isNew).map(addressIn), this.#shared.filter(isOld).map(addressIn)];
      if (add.length + remove.length > 0) this.#interface.changeSet(SHARED[bytes], { add, remove });
    }
    this.#shared = shared;
  }

  #follow(policy: EgressPolicy): void {
    tell(policy, this.#tools.log);
    try {
      const shared = this.#shared.map(addressIn);
      this.#interface.setTable(tableFor(this.#settings, this.#pools, policy, shared));
    } catch (error) {
      this.#tools.log.error("The new policy does not hold for packets; the old one stays", { error: messageOf(error) });
    }
  }

  #alone<T>(act: () => Promise<T>): Promise<T> {
    const done = this.#last.then(act);
    this.#last = done.catch(() => {});
    return done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watching[Symbol.dispose]();
    await this.#last;
    await this.#interface[Symbol.asyncDispose]();
  }
}

async function poolsOf({ pool, pool6 }: PacketSettings): Promise<AddressPool[]> {
  const network6 = pool6 === "auto" ? await hasIpv6() ? DEFAULT_POOL6 : "none" : pool6;
  return [pool, ...network6 === "none" ? [] : [network6]].map((network) => new AddressPool(network));
}

function tableFor(
  { interfaceName, clientRateMbps }: PacketSettings,
  pools: readonly AddressPool[],
  policy: EgressPolicy,
  shared: readonly IpAddress[] = [],
): Table {
  return packetTable({
    interfaceName,
    pools,
    policy,
    shared,
    ...clientRateMbps !== undefined && { clientBytesPerSecond: Math.round(clientRateMbps * BYTES_PER_MEGABIT) },
  });
}

/** What people should know who wrote rules that cannot hold. */
function tell(policy: EgressPolicy, log: Log): void {
  if (policy.deniedHosts === "some") {
    log.warn("The policy denies hosts by their names: that holds for streams, not for packets, which have no names");
  } else if (policy.deniedHosts === "all") {
    log.warn("The policy denies every host that it does not name: packets, which have no names, are let out nowhere");
  }
}

function addressIn(cidr: string): IpAddress {
  const parsed = parseCidr(cidr);
  if (!parsed) throw new CulvertError("bad_address", `Cannot take the client: "${cidr}" must be an address`);
  return parsed.address;
}
