/**
 * UDP that leaves the network here: one socket of each family, opened when first needed, many destinations.
 *
 *   send(to) ─▶ route of `host:port`: parse, resolve, check, exact address ─▶ socket
 *   socket ─▶ from an address and port we sent to? ─▶ receive          anything else is dropped
 *
 * Filtering is by address and port (RFC 4787 §5, the strictest): a socket that passed strangers' datagrams would lend
 * this machine's address to whoever wants to be reached at it. A route is checked anew after some seconds and whenever
 * the policy changes; a name keeps its address until then.
 *
 * Loss is silent, as on the network: unreachable hosts, datagrams over a byte rate, more than a few sends at once that
 * wait for a resolver. Only what the policy or the resolver refuses rejects. Bounds: routes and peers 1,024 each
 * (beyond it the oldest goes), one datagram per family in hand, the rest waits in the kernel.
 */

import type { Clock, Timer } from "../protocol/clock.ts";
import type { AddressSet, EgressPolicy, PolicySource } from "../protocol/egress_policy.ts";
import { DialError } from "../protocol/errors.ts";
import { parseHost } from "../protocol/host.ts";
import { formatIp, type IpAddress } from "../protocol/ip.ts";
import { type Datagrams, formatTarget, type Received, type Target } from "../protocol/stream.ts";
import { assertAllowed, checkedAddresses } from "./checked_addresses.ts";
import { dialErrorOf } from "./dial_error.ts";
import type { EgressLimits } from "./egress_limits.ts";
import type { Resolver } from "./resolve.ts";
import { type DatagramSocket, datagramSocket, type NetAddr } from "./runtime.ts";

export interface EgressDatagramsOptions {
  readonly source: PolicySource;
  readonly clock: Clock;
  readonly resolver: Resolver;
  readonly own: AddressSet;
  readonly limits: EgressLimits;
  readonly idleMs: number;
  readonly onClose: () => void;
}

const MAX_ROUTES = 1024;
const MAX_PEERS = 1024;
const MAX_WAITING_SENDS = 64;
/** As long as a resolver keeps an answer, and then some. */
const ROUTE_KEEP_MS = 30_000;
const MAX_DATAGRAM_BYTES = 65_535;
/** In a row: a socket that can do nothing but fail is not asked for ever. */
const MAX_RECEIVE_FAILURES = 16;

/** Where datagrams for a `host:port` go, until when, and by whose leave. */
interface Route {
  readonly to: NetAddr;
  readonly family: Family;
  readonly untilMs: number;
}

type Family = 4 | 6;

export class EgressDatagrams implements Datagrams {
  readonly #options: EgressDatagramsOptions;
  readonly #routes = new Map<string, Route>();
  readonly #peers = new Map<string, Target>();
  readonly #sockets = new Map<Family, FamilySocket>();
  readonly #abort = new AbortController();
  #policy: EgressPolicy;
  #waitingSends = 0;
  #wakeReceiver: (() => void) | undefined;
  #idleTimer: Timer;
  #lastUsedMs: number;
  #closed = false;

  constructor(options: EgressDatagramsOptions) {
    this.#options = options;
    this.#policy = options.source.current;
    this.#lastUsedMs = options.clock.now();
    this.#idleTimer = options.clock.after(options.idleMs, () => this.#onIdleTimer());
  }

  async send(datagram: Uint8Array, to: Target): Promise<void> {
    if (this.#closed) throw new DialError("path_down", "Cannot send: the datagram socket has closed");
    this.#followPolicy();
    const { clock, limits } = this.#options;
    this.#lastUsedMs = clock.now();
    const key = formatTarget(to);
    let route = this.#routes.get(key);
    if (!route || route.untilMs <= this.#lastUsedMs) {
      route = await this.#newRoute(to);
      if (!route || this.#closed) return;
      keep(this.#routes, key, route, MAX_ROUTES);
    }
    if (limits.upload && !limits.upload.takeUnlessBehind(datagram.length)) return;
    await this.#socket(route.family).send(datagram, route.to);
  }

  async receive(into: Uint8Array): Promise<Received | null> {
    for (;;) {
      for (const socket of this.#sockets.values()) {
        const received = socket.take(into);
        if (received) return received;
      }
      if (this.#closed) return null;
      if (this.#wakeReceiver) throw new DialError("busy", "Cannot receive: another receive is pending");
      await new Promise<void>((resolve) => this.#wakeReceiver = resolve);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#idleTimer.cancel();
    this.#abort.abort(new DialError("path_down", "Cannot send: the datagram socket has closed"));
    for (const socket of this.#sockets.values()) socket.close();
    this.#options.onClose();
    this.#wake();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Under a new policy every route and every peer has to be allowed again. */
  #followPolicy(): void {
    const policy = this.#options.source.current;
    if (policy === this.#policy) return;
    this.#policy = policy;
    this.#routes.clear();
    this.#peers.clear();
  }

  /** The route to a target; undefined when too many are being looked for, which is loss. */
  async #newRoute(to: Target): Promise<Route | undefined> {
    if (this.#waitingSends >= MAX_WAITING_SENDS) return undefined;
    this.#waitingSends++;
    try {
      const policy = this.#policy;
      const address = await this.#checkedAddress(to, policy);
      if (policy !== this.#options.source.current) return undefined;
      const host = formatIp(address);
      const peer = { host, port: to.port };
      keep(this.#peers, formatTarget(peer), peer, MAX_PEERS);
      return {
        to: { transport: "udp", hostname: host, port: to.port },
        family: address.length === 4 ? 4 : 6,
        untilMs: this.#options.clock.now() + ROUTE_KEEP_MS,
      };
    } catch (error) {
      throw dialErrorOf(error);
    } finally {
      this.#waitingSends--;
    }
  }

  /** The first address of the target that the policy allows, in the resolver's order. */
  async #checkedAddress(to: Target, policy: EgressPolicy): Promise<IpAddress> {
    const { resolver, own } = this.#options;
    const host = parseHost(to.host);
    if (host === undefined) throw new DialError("unresolved", "Cannot send: the host is neither a name nor an address");
    assertAllowed(policy.checkName(typeof host === "string" ? host : formatIp(host), to.port));
    const addresses = typeof host === "string" ? await resolver.resolve(host, this.#abort.signal) : [host];
    return checkedAddresses(addresses, to.port, policy, own)[0]!;
  }

  #socket(family: Family): FamilySocket {
    let socket = this.#sockets.get(family);
    if (!socket) {
      socket = new FamilySocket(family, (from, length) => this.#admit(from, length), () => this.#wake());
      this.#sockets.set(family, socket);
    }
    return socket;
  }

  /** Who sent a datagram, if it is someone we sent to and the rate allows it. */
  #admit(from: NetAddr, length: number): Target | undefined {
    this.#followPolicy();
    const peer = this.#peers.get(formatTarget({ host: from.hostname, port: from.port }));
    const { limits, clock } = this.#options;
    if (!peer || (limits.download && !limits.download.takeUnlessBehind(length))) return undefined;
    this.#lastUsedMs = clock.now();
    return peer;
  }

  #wake(): void {
    const wake = this.#wakeReceiver;
    this.#wakeReceiver = undefined;
    wake?.();
  }

  #onIdleTimer(): void {
    const { clock, idleMs } = this.#options;
    const leftMs = this.#lastUsedMs + idleMs - clock.now();
    if (leftMs <= 0) return this.close();
    this.#idleTimer = clock.after(leftMs, () => this.#onIdleTimer());
  }
}

/** Adds at the young end of the map; the oldest goes when there are too many. */
function keep<T>(map: Map<string, T>, key: string, value: T, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > max) map.delete(map.keys().next().value!);
}

/** One UDP socket, with the one datagram that has been read and not yet taken. */
class FamilySocket {
  readonly #socket: DatagramSocket;
  readonly #buffer = new Uint8Array(MAX_DATAGRAM_BYTES);
  readonly #admit: (from: NetAddr, length: number) => Target | undefined;
  readonly #onReady: () => void;
  #ready: Received | undefined;
  #onTaken: (() => void) | undefined;
  #closed = false;

  constructor(family: Family, admit: (from: NetAddr, length: number) => Target | undefined, onReady: () => void) {
    try {
      this.#socket = datagramSocket({ hostname: family === 4 ? "0.0.0.0" : "::", port: 0 });
    } catch (error) {
      throw dialErrorOf(error);
    }
    this.#admit = admit;
    this.#onReady = onReady;
    void this.#pump();
  }

  async send(datagram: Uint8Array, to: NetAddr): Promise<void> {
    try {
      await this.#socket.send(datagram, to);
    } catch {
      // A host that cannot be reached, a datagram too long: the network would have lost it as silently.
    }
  }

  /** Copies the waiting datagram out and lets the next be read; undefined if none waits. */
  take(into: Uint8Array): Received | undefined {
    const ready = this.#ready;
    if (!ready) return undefined;
    const length = Math.min(ready.length, into.length);
    into.set(this.#buffer.subarray(0, length));
    this.#ready = undefined;
    this.#onTaken?.();
    return length === ready.length ? ready : { length, from: ready.from };
  }

  close(): void {
    this.#closed = true;
    this.#socket.close();
    this.#onTaken?.();
  }

  async #pump(): Promise<void> {
    for (let failures = 0; !this.#closed && failures < MAX_RECEIVE_FAILURES;) {
      try {
        const [data, address] = await this.#socket.receive(this.#buffer);
        failures = 0;
        const from = this.#admit(address, data.length);
        if (!from || this.#closed) continue;
        this.#ready = { length: data.length, from };
      } catch {
        failures++; // closed, or on some systems an ICMP error about an earlier datagram
        continue;
      }
      this.#onReady();
      await new Promise<void>((resolve) => this.#onTaken = resolve);
    }
  }
}
