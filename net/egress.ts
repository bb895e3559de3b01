/**
 * The Path that leaves the network here, under a policy.
 *
 *   target ─ parseHost ─ checkName ─ caps ─ resolve ─ checkAddress on each ─ happy eyeballs ─ Deno.connect(address)
 *
 * What is dialled is the very address that was checked, as a literal, so a name that changes its answer between the
 * check and the connect gains nothing. An address literal skips the resolver and the race; without byte rates what is
 * handed out is the bare `Deno.TcpConn`. Each dial is held to the policy of the moment it began.
 *
 * It does not speak any proxy protocol and does not add itself to a trail: `hello.ts` does that. UDP is in
 * `egress_datagrams.ts`.
 */

import { type Clock, clockOf } from "../protocol/clock.ts";
import { EgressPolicy, type PolicySource, type Refusal } from "../protocol/egress_policy.ts";
import { DialError } from "../protocol/errors.ts";
import { DEFAULT_ATTEMPT_DELAY_MS, interleave, race } from "../protocol/happy_eyeballs.ts";
import { parseHost } from "../protocol/host.ts";
import { formatIp, type IpAddress } from "../protocol/ip.ts";
import { type Log, silentLog } from "../protocol/log.ts";
import { type Counter, type Metrics, noMetrics } from "../protocol/metrics.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../protocol/stream.ts";
import { DialDeadlines } from "./dial_deadlines.ts";
import { dialErrorOf } from "./dial_error.ts";
import { EgressDatagrams } from "./egress_datagrams.ts";
import { EgressLimits } from "./egress_limits.ts";
import { OpenStreams } from "./open_streams.ts";
import { type ListAddresses, OwnAddresses } from "./own_addresses.ts";
import { CachingResolver, type Resolver } from "./resolve.ts";
import { assertAllowed, checkedAddresses, deniedError } from "./checked_addresses.ts";
import { connectTcp as connectSocket } from "./runtime.ts";

/** Connects to an address literal. Aborting the signal ends the attempt. */
export type Connect = (to: { hostname: string; port: number; signal?: AbortSignal }) => Promise<Stream>;

/** What the way out is made of; all of it may be left out. */
export interface DirectOptions {
  /** Where time comes from. Default: the host's. */
  readonly clock?: Clock;
  /** Where it writes what happens. Default: nowhere. */
  readonly log?: Log;
  /** Where it counts what happens. Default: nowhere. */
  readonly metrics?: Metrics;
  /**
   * Finds the addresses of names. Default: the system does, with a short memory.
   *
   * @internal
   */
  readonly resolver?: Resolver;
  /** Connects to an address that has been checked. Default: by TCP. */
  readonly connect?: Connect;
  /**
   * The addresses of this machine's interfaces; by default asked of the system.
   *
   * @internal
   */
  readonly ownAddresses?: ListAddresses;
  /** How long a dial may take, resolving included. Default 15 s. */
  readonly dialTimeoutMs?: number;
  /** The head start of one address over the next. Default 250 ms. */
  readonly attemptDelayMs?: number;
  /** How long a datagram socket may be silent both ways. Default 5 min, as RFC 4787 REQ-5 recommends. */
  readonly datagramIdleMs?: number;
}

/**
 * The most addresses of one name that are tried. More would let whoever answers for a name have this machine knock on
 * as many doors as fit into an answer.
 */
const MAX_CANDIDATES = 16;

/** The Path that leaves the network here. A PolicySource may change its policy while in use. */
export function direct(policy: EgressPolicy | PolicySource, options: DirectOptions = {}): Path {
  return new DirectPath(policy instanceof EgressPolicy ? fixed(policy) : policy, options);
}

function fixed(policy: EgressPolicy): PolicySource {
  return { current: policy, subscribe: () => ({ [Symbol.dispose]() {} }) };
}

/** Connects to a literal, without its own address race: there is one address, and it has been checked. */
async function connectTcp(to: { hostname: string; port: number; signal?: AbortSignal }): Promise<Stream> {
  const connection = await connectSocket({ ...to, autoSelectFamily: false });
  connection.setNoDelay(true);
  return connection;
}

/** Where an open connection goes: what a new policy needs to judge it. */
interface Destination {
  readonly host: string;
  readonly address: IpAddress;
  readonly port: number;
}

class DirectPath implements Path {
  readonly #source: PolicySource;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #resolver: Resolver;
  readonly #connect: Connect;
  readonly #own: OwnAddresses;
  readonly #limits: EgressLimits;
  readonly #deadlines: DialDeadlines;
  readonly #attemptDelayMs: number;
  readonly #datagramIdleMs: number;
  readonly #streams: OpenStreams<Destination>;
  readonly #sockets = new Set<EgressDatagrams>();
  readonly #subscription: Disposable;
  readonly #dialsTotal: Counter;
  #closed = false;

  constructor(source: PolicySource, options: DirectOptions) {
    const clock = options.clock ?? clockOf(globalThis);
    const metrics = options.metrics ?? noMetrics;
    this.#source = source;
    this.#clock = clock;
    this.#log = options.log ?? silentLog;
    this.#resolver = options.resolver ?? new CachingResolver({ clock });
    this.#connect = options.connect ?? connectTcp;
    this.#own = new OwnAddresses(clock, options.ownAddresses);
    this.#limits = new EgressLimits(clock, source.current);
    this.#deadlines = new DialDeadlines(clock, options.dialTimeoutMs ?? 15_000);
    this.#attemptDelayMs = options.attemptDelayMs ?? DEFAULT_ATTEMPT_DELAY_MS;
    this.#datagramIdleMs = options.datagramIdleMs ?? 300_000;
    this.#dialsTotal = metrics.counter("egress_dials_total", "Dials by how they ended", ["result"]);
    const open = metrics.gauge("egress_streams_open", "Connections open now");
    this.#streams = new OpenStreams((change) => open.add(change));
    this.#subscription = source.subscribe(() => this.#onNewPolicy());
  }

  async dial(target: Target, options?: DialOptions): Promise<Stream> {
    try {
      const stream = await this.#open(target, options?.signal);
      this.#dialsTotal.add(1, CONNECTED);
      return stream;
    } catch (error) {
      const failure = dialErrorOf(error);
      this.#dialsTotal.add(1, { result: failure.code });
      this.#log.debug("A dial failed", { code: failure.code });
      throw failure;
    }
  }

  // deno-lint-ignore require-await -- so that a refusal rejects
  async datagrams(): Promise<Datagrams> {
    this.#assertOpen();
    this.#limits.admitDatagrams(this.#sockets.size);
    const sockets = this.#sockets;
    const datagrams: EgressDatagrams = new EgressDatagrams({
      source: this.#source,
      clock: this.#clock,
      resolver: this.#resolver,
      own: this.#own,
      limits: this.#limits,
      idleMs: this.#datagramIdleMs,
      onClose: () => sockets.delete(datagrams),
    });
    sockets.add(datagrams);
    return datagrams;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#subscription[Symbol.dispose]();
    this.#deadlines[Symbol.dispose]();
    this.#streams.closeWhere(() => true);
    for (const socket of this.#sockets) socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #open(target: Target, signal: AbortSignal | undefined): Promise<Stream> {
    this.#assertOpen();
    const policy = this.#source.current;
    const host = parseHost(target.host);
    if (host === undefined) throw new DialError("unresolved", "Cannot dial: the host is neither a name nor an address");
    const hostText = typeof host === "string" ? host : formatIp(host);
    assertAllowed(policy.checkName(hostText, target.port));
    this.#limits.admitConnection(this.#streams.size + this.#deadlines.pending);
    using pending = this.#deadlines.begin(signal);
    const candidates = await this.#candidates(host, target.port, policy, pending.signal);
    const { stream, address } = candidates.length === 1
      ? await this.#attempt(candidates[0]!, target.port, pending.signal)
      : await race(candidates, {
        clock: this.#clock,
        attemptDelayMs: this.#attemptDelayMs,
        signal: pending.signal,
        connect: (address, signal) => this.#attempt(address, target.port, signal),
      });
    return this.#adopt(stream, { host: hostText, address, port: target.port }, pending.signal);
  }

  /** The addresses of a host that the policy allows, in the order to try. */
  async #candidates(
    host: IpAddress | string,
    port: number,
    policy: EgressPolicy,
    signal: AbortSignal,
  ): Promise<readonly IpAddress[]> {
    if (typeof host !== "string") {
      assertAllowed(policy.checkAddress(host, port, this.#own));
      return [host];
    }
    const addresses = await this.#resolver.resolve(host, signal);
    return interleave(checkedAddresses(addresses, port, policy, this.#own)).slice(0, MAX_CANDIDATES);
  }

  async #attempt(address: IpAddress, port: number, signal: AbortSignal): Promise<Attempt> {
    try {
      signal.throwIfAborted();
      const stream = await this.#connect({ hostname: formatIp(address), port, signal });
      return { stream, address, close: () => stream.close() };
    } catch (error) {
      throw dialErrorOf(signal.aborted ? signal.reason : error);
    }
  }

  /** Takes a new connection in, unless the Path was closed or the policy turned against it while it was made. */
  #adopt(stream: Stream, destination: Destination, signal: AbortSignal): Stream {
    const refusal = this.#source.current.closeOnReload ? this.#judge(destination) : undefined;
    if (signal.aborted || refusal) {
      stream.close();
      throw refusal ? deniedError(refusal) : signal.reason;
    }
    return this.#limits.shape(this.#streams.track(stream, destination));
  }

  #judge({ host, address, port }: Destination): Refusal | undefined {
    const policy = this.#source.current;
    return policy.checkName(host, port) ?? policy.checkAddress(address, port, this.#own);
  }

  #onNewPolicy(): void {
    this.#limits.apply(this.#source.current);
    if (!this.#source.current.closeOnReload) return;
    const closed = this.#streams.closeWhere((destination) => this.#judge(destination) !== undefined);
    this.#log.info("The new policy closed connections", { closed });
  }

  #assertOpen(): void {
    if (this.#closed) throw new DialError("path_down", "Cannot dial: the egress has closed");
  }
}

interface Attempt {
  readonly stream: Stream;
  readonly address: IpAddress;
  close(): void;
}

const CONNECTED = { result: "connected" };
