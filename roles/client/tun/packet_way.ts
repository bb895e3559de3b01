/**
 * The way through a session that carries packets: a tunnel (`packet_tunnel.ts`), whether packets get through it, and
 * whether there is a better way for its datagrams.
 *
 * Not here: which session is in use (`net/session_switch.ts`).
 */

import type { ClientSession } from "../../../net/session_path.ts";
import type { SessionWay } from "../../../net/watched_session.ts";
import type { PacketOffer } from "../../../protocol/control/packets.ts";
import { encodeBase64Url } from "../../../protocol/encoding.ts";
import { DialError, messageOf } from "../../../protocol/errors.ts";
import { hostCidr, type IpAddress } from "../../../protocol/ip.ts";
import { equalKeys } from "../../../protocol/wireguard/keys.ts";
import type { Endpoint, Key, PeerStatus } from "../../../protocol/wireguard/settings.ts";
import type { DirectUpgradeOptions, Way } from "../../packets/direct_upgrade.ts";
import { PacketTunnel, type TunnelParts } from "./packet_tunnel.ts";
import type { Slot } from "./plan.ts";

/** Looks for a way to the exit that needs no relay, until the signal aborts. */
export type StartDirect = (
  way: Omit<DirectUpgradeOptions, "clock" | "random" | "log" | "openPort">,
  signal: AbortSignal,
) => Promise<void>;

/** What all ways of a client share. */
export interface PacketWayParts extends TunnelParts {
  readonly startDirect?: StartDirect | undefined;
  /** The one that everything goes through. */
  inUse(): PacketWay | undefined;
}

/** What a probe may take at most; whoever probes has a limit of its own. */
const PROBE_MS = 10_000;
const PROBE_ID_BYTES = 16;
/** How long packets may still arrive on the old way to an exit that has heard of the new one. */
const SAME_PEER_DRAIN_MS = 500;
/** How long a supernode that terminates the tunnel has to find another exit beneath it. */
const OTHER_EXIT_WITHIN_MS = 10_000;

export class PacketWay implements SessionWay {
  readonly tunnel: PacketTunnel;
  readonly opened: Promise<void>;
  readonly #parts: PacketWayParts;
  readonly #stop = new AbortController();
  readonly #noDirect = new AbortController();
  readonly #ended: Promise<void>;
  #direct: Promise<void> | undefined;
  /** Since when the supernode has had no exit for us. */
  #shutAtMs: number | undefined;

  /** Begins to open it; goes by `present`, the tunnel in use, when that is what is offered. */
  constructor(
    session: ClientSession & { readonly packets: PacketOffer },
    parts: PacketWayParts,
    present?: PacketTunnel,
  ) {
    this.#parts = parts;
    const { packets, exitKey } = session;
    this.tunnel = present?.isSame(packets) ? present : new PacketTunnel(packets, exitKey, parts);
    this.tunnel.join(this);
    this.opened = this.tunnel.opened;
    this.opened.catch(() => this.close());
    const { promise: closing, resolve } = Promise.withResolvers<void>();
    this.#stop.signal.addEventListener("abort", () => resolve(), { once: true });
    this.#ended = closing.then(() => this.#end());
  }

  get offer(): PacketOffer {
    return this.tunnel.offer;
  }

  get addresses(): readonly IpAddress[] {
    return this.tunnel.addresses;
  }

  get nameServers(): readonly IpAddress[] {
    return this.tunnel.nameServers;
  }

  get peerKey(): Key {
    return this.tunnel.peerKey;
  }

  /** It is in use until it is closed. */
  get streamCount(): number {
    return this.#stop.signal.aborted ? 0 : 1;
  }

  get slot(): Slot | undefined {
    return this.tunnel.slot;
  }

  get interfaceName(): string | undefined {
    return this.slot === undefined ? undefined : this.#parts.interfaces[this.slot];
  }

  /** How its datagrams go, and to where. */
  get way(): { readonly kind: Way; readonly at: Endpoint } | undefined {
    return this.tunnel.way;
  }

  /** What its device says of its peer; undefined when there is none (any more). */
  status(): Promise<PeerStatus | undefined> {
    return this.tunnel.status();
  }

  /**
   * Settles when the gateway has answered that packets get through. While another way is in use to the same peer, its
   * answers go there: that peer sends to where it has last heard from us. Then the handshake shows as much.
   */
  async probe(signal: AbortSignal): Promise<void> {
    await this.opened;
    const inUse = this.#parts.inUse();
    const isElsewhere = inUse && inUse.streamCount > 0 && inUse.tunnel !== this.tunnel;
    if (isElsewhere && equalKeys(inUse.peerKey, this.peerKey)) return;
    const id = encodeBase64Url(this.#parts.random.fill(new Uint8Array(PROBE_ID_BYTES)));
    const { ok } = await this.tunnel.gateway!.ask({ type: "probe", id }, { signal, withinMs: PROBE_MS });
    if (ok) this.#shutAtMs = undefined;
    else if (!this.#isPatient()) throw new DialError("path_down", "The exit's own way out does not work");
  }

  /** A supernode that terminates the tunnel goes to another exit by itself, and the tunnel stays as it is. */
  #isPatient(): boolean {
    const now = this.#parts.clock.now();
    this.#shutAtMs ??= now;
    return this.offer.terminatedBy !== undefined && now < this.#shutAtMs + OTHER_EXIT_WITHIN_MS;
  }

  /** It is in use from now on: the time to look for a better way. */
  taken(): void {
    const { startDirect, routing, log } = this.#parts;
    const { device, gateway: ask, way } = this.tunnel;
    if (!startDirect || !device || !ask || !way || this.#direct || this.offer.terminatedBy) return;
    const onChange = (kind: Way, at: Endpoint) => {
      this.tunnel.way = { kind, at };
      log.info("The way to the exit has changed", { way: kind });
    };
    const tunnels = [...this.addresses, ...this.nameServers].map(hostCidr);
    const found = { device, exitKey: this.peerKey, relayAt: way.at, ask, tunnels, mark: routing.mark, onChange };
    const until = AbortSignal.any([this.#stop.signal, this.#noDirect.signal]);
    this.#direct = startDirect(found, until).catch((error) => {
      if (!until.aborted) log.warn("No direct way is looked for", { error: messageOf(error) });
    });
  }

  /**
   * Another one is in use: what is under way still arrives, unless that one speaks to the same peer. To that a later word
   * from here would be the newest, and its answers would come here.
   */
  left(next: PacketWay): void {
    if (next === this || !equalKeys(next.peerKey, this.peerKey)) return;
    if (next.tunnel === this.tunnel) return this.close();
    this.#noDirect.abort();
    this.tunnel.quieten();
    const timer = this.#parts.clock.after(SAME_PEER_DRAIN_MS, () => this.close());
    this.#stop.signal.addEventListener("abort", () => timer.cancel(), { once: true });
  }

  /** The machine has slept, or the network is another: begins a session of keys at once. */
  greetAnew(): Promise<void> {
    return this.tunnel.greetAnew();
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

  async #end(): Promise<void> {
    await this.opened.catch(() => {});
    await this.#direct;
    await this.tunnel.leave(this);
  }
}
