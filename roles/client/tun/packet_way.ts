/**
 * The way through a session that carries packets: a WireGuard device on one of the client's two interfaces.
 *
 *   offer ─▶ interface ─▶ device, peer ─▶ addresses, table ─▶ handshake ─▶ opened: may be probed, and used
 *
 * Nothing goes through it until somebody sends traffic there (`routing.use`); probes do, since their socket is bound to
 * the interface. A handshake that is lost is begun anew after half a second, not after WireGuard's five.
 *
 * Not here: which session is in use (`net/session_switch.ts`).
 */

import type { Libc } from "../../../native/libc.ts";
import { TunnelSocket } from "../../../native/tunnel_socket.ts";
import type { WireGuardDevice } from "../../../native/wireguard/device.ts";
import type { ClientSession } from "../../../net/session_path.ts";
import type { SessionWay } from "../../../net/watched_session.ts";
import { type Clock, deadline, delay } from "../../../protocol/clock.ts";
import type { PacketOffer } from "../../../protocol/control/packets.ts";
import { decodeBase64, encodeBase64Url } from "../../../protocol/encoding.ts";
import { DialError, messageOf } from "../../../protocol/errors.ts";
import { type IpAddress, parseCidr, parseIp } from "../../../protocol/ip.ts";
import type { Log } from "../../../protocol/log.ts";
import type { Random } from "../../../protocol/random.ts";
import { splitHostAndPort } from "../../../protocol/wireguard/endpoint.ts";
import { equalKeys } from "../../../protocol/wireguard/keys.ts";
import type { Endpoint, Key, PeerChange, PeerStatus } from "../../../protocol/wireguard/settings.ts";
import type { ChosenBackend, DeviceMaker } from "../../machine/devices.ts";
import type { DirectUpgradeOptions, Way } from "../../packets/direct_upgrade.ts";
import { type MtuView, tunnelMtu } from "../../wireguard/mtu.ts";
import { GatewayClient } from "./gateway_client.ts";
import { everything, hostCidr, type Slot } from "./plan.ts";
import type { Routing } from "./routing.ts";
import type { Slots } from "./slots.ts";

/** Looks for a way to the exit that needs no relay, until the signal aborts. */
export type StartDirect = (
  way: Omit<DirectUpgradeOptions, "clock" | "random" | "log" | "openPort">,
  signal: AbortSignal,
) => Promise<void>;

/** What all ways of a client share. */
export interface PacketWayParts {
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
  readonly startDirect?: StartDirect | undefined;
  /** The one that everything goes through. */
  inUse(): PacketWay | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const OPEN_WITHIN_MS = 5_000;
const HANDSHAKE_LOOK_MS = 10;
const HANDSHAKE_AGAIN_MS = 500;
/** Keeps the way through the NAT open, and the relay's memory of where we are. */
const KEEPALIVE_S = 20;
/** What a probe may take at most; whoever probes has a limit of its own. */
const PROBE_MS = 10_000;
const PROBE_ID_BYTES = 16;
/** How long packets may still arrive on the old way to an exit that has heard of the new one. */
const SAME_PEER_DRAIN_MS = 500;

export class PacketWay implements SessionWay {
  readonly offer: PacketOffer;
  readonly opened: Promise<void>;
  readonly addresses: readonly IpAddress[];
  readonly nameServers: readonly IpAddress[];
  /** Whom the device speaks to: the exit, or a supernode that terminates the tunnel. */
  readonly peerKey: Key;
  readonly #session: ClientSession;
  readonly #parts: PacketWayParts;
  readonly #stop = new AbortController();
  readonly #held = new AsyncDisposableStack();
  readonly #ended: Promise<void>;
  #slot: Slot | undefined;
  #device: WireGuardDevice | undefined;
  #gateway: GatewayClient | undefined;
  #way: { readonly kind: Way; readonly at: Endpoint } | undefined;
  #direct: Promise<void> | undefined;

  /** Begins to open it. */
  constructor(session: ClientSession & { readonly packets: PacketOffer }, parts: PacketWayParts) {
    this.#session = session;
    this.#parts = parts;
    const offer = this.offer = session.packets;
    this.peerKey = offer.terminatedBy ? decodeBase64(offer.terminatedBy.wireguardKey)! as Key : session.exitKey;
    this.addresses = ownAddresses(offer);
    this.nameServers = offer.dns.map(parseIp).filter((address) => address !== undefined);
    this.opened = this.#open();
    this.opened.catch(() => this.close());
    const { promise: closing, resolve } = Promise.withResolvers<void>();
    this.#stop.signal.addEventListener("abort", () => resolve(), { once: true });
    this.#ended = closing.then(() => this.#end());
  }

  /** It is in use until it is closed. */
  get streamCount(): number {
    return this.#stop.signal.aborted ? 0 : 1;
  }

  get slot(): Slot | undefined {
    return this.#slot;
  }

  get interfaceName(): string | undefined {
    return this.#slot === undefined ? undefined : this.#parts.interfaces[this.#slot];
  }

  /** How its datagrams go, and to where. */
  get way(): { readonly kind: Way; readonly at: Endpoint } | undefined {
    return this.#way;
  }

  /** What its device says of its peer; undefined when there is none (any more). */
  async status(): Promise<PeerStatus | undefined> {
    return (await this.#device?.status())?.peers[0];
  }

  /**
   * Settles when the exit's gateway has answered that packets get through. While another way is in use to the same peer, its
   * answers go there: that peer sends to where it has last heard from us. Then the handshake shows as much.
   */
  async probe(signal: AbortSignal): Promise<void> {
    await this.opened;
    const inUse = this.#parts.inUse();
    if (inUse && inUse !== this && equalKeys(inUse.peerKey, this.peerKey)) return;
    const id = encodeBase64Url(this.#parts.random.fill(new Uint8Array(PROBE_ID_BYTES)));
    const { ok } = await this.#gateway!.ask({ type: "probe", id }, { signal, withinMs: PROBE_MS });
    if (!ok) throw new DialError("path_down", "The exit's own way out does not work");
  }

  /** It is in use from now on: the time to look for a better way. */
  taken(): void {
    const { startDirect, routing, log } = this.#parts;
    const device = this.#device, ask = this.#gateway, way = this.#way;
    if (!startDirect || !device || !ask || !way || this.#direct || this.offer.terminatedBy) return;
    const onChange = (kind: Way, at: Endpoint) => {
      this.#way = { kind, at };
      log.info("The way to the exit has changed", { way: kind });
    };
    const tunnels = [...this.addresses, ...this.nameServers].map(hostCidr);
    const found = { device, exitKey: this.peerKey, relayAt: way.at, ask, tunnels, mark: routing.mark, onChange };
    this.#direct = startDirect(found, this.#stop.signal).catch((error) => {
      if (!this.#stop.signal.aborted) log.warn("No direct way is looked for", { error: messageOf(error) });
    });
  }

  /**
   * Another one is in use: what is under way still arrives, unless that one speaks to the same peer. To that a later word
   * from here would be the newest, and its answers would come here.
   */
  left(next: PacketWay): void {
    if (!equalKeys(next.peerKey, this.peerKey)) return;
    this.#device?.configure({ peers: [{ publicKey: this.peerKey, updateOnly: true, persistentKeepaliveS: 0 }] })
      .catch(() => {}); // it goes anyway
    const timer = this.#parts.clock.after(SAME_PEER_DRAIN_MS, () => this.close());
    this.#stop.signal.addEventListener("abort", () => timer.cancel(), { once: true });
  }

  /** The machine has slept, or the network is another: begins a session of keys at once. */
  async greetAnew(): Promise<void> {
    const device = this.#device, at = this.#way?.at;
    if (device && at) await device.configure({ peers: [{ publicKey: this.peerKey, remove: true }, this.#peer(at)] });
  }

  dial(): Promise<never> {
    return Promise.reject(new DialError("denied", "Cannot dial: the session carries packets, not streams"));
  }

  datagrams(): Promise<never> {
    return this.dial();
  }

  close(): void {
    this.#stop.abort(new DialError("path_down", "The tunnel is closed"));
  }

  async closed(): Promise<void> {
    await this.#ended;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #open(): Promise<void> {
    const { clock, slots, routing, interfaces, underlay } = this.#parts;
    using limit = deadline(clock, OPEN_WITHIN_MS, "open the tunnel", this.#stop.signal);
    const { signal } = limit;
    const at = await this.#endpoint(signal);
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
    const gateways = this.offer.gateways.map(parseIp).filter((address) => address !== undefined);
    routing.setUp(slot, { addresses: this.addresses, inside: [...gateways, ...this.nameServers], mtu });
    const gateway = gateways.find((one) => this.addresses.some((own) => own.length === one.length));
    if (!gateway) throw new DialError("failed", "Cannot open the tunnel: the exit has no gateway of our families");
    const socket = TunnelSocket.open(this.#parts.libc, { interfaceName: name, isV6: gateway.length === 16 });
    this.#gateway = this.#held.use(new GatewayClient({ socket, gateway, clock }));
    this.#way = { kind: "relay", at };
    await this.#handshake(device, at, signal);
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
    const { log, slots } = this.#parts;
    await this.opened.catch(() => {});
    await this.#direct;
    try {
      await this.#held.disposeAsync();
    } catch (error) {
      log.error("A tunnel could not be taken away", { session_id: this.#session.sessionId, error: messageOf(error) });
    }
    slots.leave(this);
  }
}

/** One of each family, each alone. */
function ownAddresses({ addresses }: PacketOffer): IpAddress[] {
  const own = addresses.map(parseCidr).flatMap((cidr) =>
    cidr && cidr.bits === 8 * cidr.address.length ? [cidr.address] : []
  );
  const first = [4, 16].map((bytes) => own.find((address) => address.length === bytes));
  return first.filter((address) => address !== undefined);
}
