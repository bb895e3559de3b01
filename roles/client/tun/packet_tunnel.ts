/**
 * A tunnel of the client's: a WireGuard device on one of its two interfaces.
 *
 *   offer ─▶ interface ─▶ device, peer ─▶ addresses, table ─▶ handshake ─▶ opened: may be probed, and used
 *
 * Nothing goes through it until somebody sends traffic there (`routing.use`); probes do, since their socket is bound to
 * the interface. A handshake that is lost is begun anew after half a second, not after WireGuard's five.
 *
 * Where a supernode ends it, a session at another exit may have the very same one, and then shares it: the machine need not
 * notice. It goes with the last of its sessions.
 */

import type { Libc } from "../../../native/libc.ts";
import { TunnelSocket } from "../../../native/tunnel_socket.ts";
import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import { type Clock, deadline, delay } from "../../../protocol/clock.ts";
import type { PacketOffer } from "../../../protocol/control/packets.ts";
import { decodeBase64, encodeBase64Url } from "../../../protocol/encoding.ts";
import { DialError, messageOf } from "../../../protocol/errors.ts";
import { type IpAddress, parseCidr, parseIp } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Random } from "../../../protocol/random.ts";
import { splitHostAndPort } from "../../../protocol/wireguard/endpoint.ts";
import type { Endpoint, Key, PeerChange, PeerStatus } from "../../../protocol/wireguard/settings.ts";
import type { ChosenBackend, DeviceMaker } from "../../machine/devices.ts";
import type { Way } from "../../packets/direct_upgrade.ts";
import { type MtuView, tunnelMtu } from "../../wireguard/mtu.ts";
import { GatewayClient } from "./gateway_client.ts";
import { faultOfGrant } from "./grant_check.ts";
import { everything, type Slot } from "./plan.ts";
import type { Routing } from "./routing.ts";
import type { Slots, Tenant } from "./slots.ts";

/** What all tunnels of a client share. */
export interface TunnelParts {
  readonly libc: Libc;
  readonly devices: DeviceMaker;
  readonly backend: ChosenBackend;
  readonly interfaces: readonly [string, string];
  readonly slots: Slots;
  readonly routing: Routing;
  /** The network as marked datagrams meet it. */
  readonly underlay: MtuView;
  readonly privateKey: Key;
  /** The addresses of a relay's host. */
  addressesOf(host: string, signal: AbortSignal): Promise<readonly IpAddress[]>;
  /** Those that this machine has or needs outside its tunnels: none of them may be granted. */
  takenAddresses(): readonly IpAddress[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** A session that goes through it. */
export interface TunnelUser {
  /** The tunnel has to go: its interface is needed. */
  close(): void;
}

const OPEN_WITHIN_MS = 5_000;
const HANDSHAKE_LOOK_MS = 10;
const HANDSHAKE_AGAIN_MS = 500;
/** Keeps the way through the NAT open, and the relay's memory of where we are. */
const KEEPALIVE_S = 20;
const PROBE_ID_BYTES = 16;

export class PacketTunnel implements Tenant {
  readonly offer: PacketOffer;
  readonly opened: Promise<void>;
  readonly addresses: readonly IpAddress[];
  readonly nameServers: readonly IpAddress[];
  /** Whom the device speaks to: the exit, or a supernode that terminates the tunnel. */
  readonly peerKey: Key;
  /** How its datagrams go, and to where; undefined before it is open. */
  way: { readonly kind: Way; readonly at: Endpoint } | undefined;
  readonly #parts: TunnelParts;
  readonly #users = new Set<TunnelUser>();
  readonly #stop = new AbortController();
  readonly #held = new AsyncDisposableStack();
  readonly #ended: Promise<void>;
  #slot: Slot | undefined;
  #device: WireGuardDevice | undefined;
  #gateway: GatewayClient | undefined;

  /** Begins to open it. */
  constructor(offer: PacketOffer, exitKey: Key, parts: TunnelParts) {
    this.#parts = parts;
    this.offer = offer;
    this.peerKey = peerKeyOf(offer, exitKey);
    this.addresses = ownAddresses(offer);
    this.nameServers = offer.dns.map(parseIp).filter((address) => address !== undefined);
    this.opened = this.#open();
    this.opened.catch(() => {}); // whoever has asked for it is told
    const { promise: closing, resolve } = Promise.withResolvers<void>();
    this.#stop.signal.addEventListener("abort", () => resolve(), { once: true });
    this.#ended = closing.then(() => this.#end());
  }

  /** Whether a session that is offered this would have the same: only then can it be the same device on both sides. */
  isSame(offer: PacketOffer): boolean {
    return !this.#stop.signal.aborted && offer.terminatedBy !== undefined && this.offer.terminatedBy !== undefined &&
      textOf(offer) === textOf(this.offer);
  }

  get slot(): Slot | undefined {
    return this.#slot;
  }

  get device(): WireGuardDevice | undefined {
    return this.#device;
  }

  /** The other end, once it is open. */
  get gateway(): GatewayClient | undefined {
    return this.#gateway;
  }

  /** What its device says of its peer; undefined when there is none (any more). */
  async status(): Promise<PeerStatus | undefined> {
    return (await this.#device?.status())?.peers[0];
  }

  /** The machine has slept, or the network is another: begins a session of keys at once. */
  async greetAnew(): Promise<void> {
    const device = this.#device, way = this.way;
    if (!device || !way) return;
    const peer = { ...this.#peer(way.at), keepsEndpoint: way.kind === "direct" };
    await device.configure({ peers: [{ publicKey: this.peerKey, remove: true }, peer] });
  }

  /** Says nothing any more unless it is asked to. */
  quieten(): void {
    this.#device?.configure({ peers: [{ publicKey: this.peerKey, updateOnly: true, persistentKeepaliveS: 0 }] })
      .catch(() => {}); // it goes anyway
  }

  join(user: TunnelUser): void {
    this.#users.add(user);
  }

  /** Settles when it is gone, if that was the last of its sessions. */
  async leave(user: TunnelUser): Promise<void> {
    this.#users.delete(user);
    if (this.#users.size > 0) return;
    this.#stop.abort(new DialError("path_down", "The tunnel is closed"));
    await this.#ended;
  }

  /** With all its sessions. */
  close(): void {
    for (const user of [...this.#users]) user.close();
  }

  async closed(): Promise<void> {
    await this.#ended;
  }

  async #open(): Promise<void> {
    const { clock, slots, routing, interfaces, underlay } = this.#parts;
    using limit = deadline(clock, OPEN_WITHIN_MS, "open the tunnel", this.#stop.signal);
    const { signal } = limit;
    const at = await this.#endpoint(signal);
    const gateways = this.offer.gateways.map(parseIp).filter((address) => address !== undefined);
    this.#checkGrant(gateways, at);
    const slot = this.#slot = await slots.take(this, signal);
    const name = interfaces[slot];
    const mtu = Math.min(this.offer.mtu, tunnelMtu([at], underlay));
    const device = await this.#openDevice(name, mtu);
    signal.throwIfAborted();
    await device.configure({
      privateKey: this.#parts.privateKey,
      fwmark: routing.mark,
      replacePeers: true,
      peers: [this.#peer(at)],
    });
    routing.setUp(slot, { addresses: this.addresses, gateways, nameServers: this.nameServers, mtu });
    const gateway = gateways.find((one) => this.addresses.some((own) => own.length === one.length));
    if (!gateway) throw new DialError("failed", "Cannot open the tunnel: the exit has no gateway of our families");
    const socket = TunnelSocket.open(this.#parts.libc, { interfaceName: name, isV6: gateway.length === 16 });
    this.#gateway = this.#held.use(new GatewayClient({ socket, gateway, clock }));
    this.way = { kind: "relay", at };
    await this.#handshake(device, at, signal);
  }

  #checkGrant(gateways: readonly IpAddress[], at: Endpoint): void {
    const { addresses, nameServers } = this;
    const fault = faultOfGrant({ addresses, gateways, nameServers }, [at.address, ...this.#parts.takenAddresses()]);
    if (fault) throw new DialError("failed", `Cannot open the tunnel: what the exit grants is no good: ${fault}`);
  }

  async #openDevice(name: string, mtu: number): Promise<WireGuardDevice> {
    const { devices, backend, log } = this.#parts;
    const device = this.#held.use(await devices.open(backend, { name, mtu, log }));
    this.#device = device;
    device.ended.then((error) => {
      if (!this.#stop.signal.aborted) log.error("A tunnel's device has ended", { error: messageOf(error ?? "closed") });
      this.#device = undefined;
    });
    return device;
  }

  #peer(endpoint: Endpoint): PeerChange {
    return {
      publicKey: this.peerKey,
      endpoint,
      persistentKeepaliveS: KEEPALIVE_S,
      replaceAllowedIps: true,
      allowedIps: [{ cidr: everything(4) }, { cidr: everything(6) }],
    };
  }

  /** The relay's, whose host is an address or a name that has been looked up. */
  async #endpoint(signal: AbortSignal): Promise<Endpoint> {
    const { addressesOf, underlay } = this.#parts;
    const target = splitHostAndPort(this.offer.endpoint);
    if (!target || target.port === 0) throw new DialError("failed", "Cannot open the tunnel: its endpoint is none");
    const addresses = await addressesOf(target.host, signal);
    const address = addresses.find((one) => underlay.routeTo(one)) ?? addresses[0];
    if (!address) throw new DialError("unresolved", `Cannot open the tunnel: ${target.host} has no address`);
    return { address, port: target.port };
  }

  async #handshake(device: WireGuardDevice, at: Endpoint, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    let againAtMs = clock.now() + HANDSHAKE_AGAIN_MS;
    // Something to send is what begins it; the answer to this one is nobody's.
    const nudge = () => void this.#nudge(signal);
    nudge();
    while (((await device.status()).peers[0]?.lastHandshakeMs ?? 0) === 0) {
      await delay(clock, HANDSHAKE_LOOK_MS, signal);
      if (clock.now() < againAtMs) continue;
      againAtMs = clock.now() + HANDSHAKE_AGAIN_MS;
      await device.configure({ peers: [{ publicKey: this.peerKey, remove: true }, this.#peer(at)] });
      nudge();
    }
  }

  /** Sends a probe or two and forgets them. */
  async #nudge(signal: AbortSignal): Promise<void> {
    const id = encodeBase64Url(this.#parts.random.fill(new Uint8Array(PROBE_ID_BYTES)));
    await this.#gateway!.ask({ type: "probe", id }, { signal, withinMs: HANDSHAKE_AGAIN_MS / 2 }).catch(() => {});
  }

  async #end(): Promise<void> {
    const { log, slots, interfaces } = this.#parts;
    await this.opened.catch(() => {});
    try {
      await this.#held.disposeAsync();
    } catch (error) {
      log.error("A tunnel could not be taken away", {
        interface: interfaces[this.#slot ?? 0],
        error: messageOf(error),
      });
    }
    slots.leave(this);
  }
}

function peerKeyOf({ terminatedBy }: PacketOffer, exitKey: Key): Key {
  return terminatedBy ? decodeBase64(terminatedBy.wireguardKey)! as Key : exitKey;
}

/** What a device is made by. */
function textOf({ terminatedBy, endpoint, addresses, gateways, dns, mtu }: PacketOffer): string {
  return JSON.stringify([terminatedBy?.wireguardKey, endpoint, addresses, gateways, dns, mtu]);
}

/** One of each family, each alone. */
function ownAddresses({ addresses }: PacketOffer): IpAddress[] {
  const own = addresses.map(parseCidr).flatMap((cidr) =>
    cidr && cidr.bits === 8 * cidr.address.length ? [cidr.address] : []
  );
  const first = [4, 16].map((bytes) => own.find((address) => address.length === bytes));
  return first.filter((address) => address !== undefined);
}
