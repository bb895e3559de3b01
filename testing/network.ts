/**
 * A network in memory, under a Clock and a seed: hosts that listen, dial and send datagrams over wires with latency,
 * jitter, loss, duplication, reordering, limited bandwidth and partitions. With a FakeClock and a SeededRandom a run
 * repeats exactly, however many peers take part.
 *
 *   const network = new MemoryNetwork({ clock, random, conditions: { latencyMs: 20 } });
 *   const a = network.host("a"), b = network.host("b");
 *   network.shape(a, b, { latencyMs: 80, loss: 0.01 });
 *
 * A host's address is its name. Every two hosts are joined by two wires, made when first used. A stream is a pair of
 * memory streams at either end and a carrier over each wire (`testing/carrier.ts`).
 */

import type { Clock } from "../protocol/clock.ts";
import { CulvertError, DialError } from "../protocol/errors.ts";
import type { Random } from "../protocol/random.ts";
import { type DialOptions, formatTarget, type Stream, type Target } from "../protocol/stream.ts";
import { type MemoryStream, memoryStreamPair } from "../net/memory.ts";
import { carryStream } from "./carrier.ts";
import { MemoryDatagrams } from "./memory_datagrams.ts";
import { MemoryPath } from "./memory_path.ts";
import { type Conditions, Wire } from "./wire.ts";

/** What a network in memory is made of. */
export interface MemoryNetworkOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where chance comes from. */
  readonly random: Random;
  /** Of every wire that `shape` has not named. Default: instant and faithful. */
  readonly conditions?: Conditions;
  /** How long a dial waits for an answer. Default 30 s. */
  readonly dialTimeoutMs?: number;
}

/** What each end of a stream holds, beside what is on the wire. */
const STREAM_BUFFER_BYTES = 32 * 1024;
/** Connections that nobody has accepted yet; more are refused. */
const BACKLOG = 128;
const FIRST_EPHEMERAL_PORT = 49152;

/** Hosts in memory, with lines between them that delay, lose and cut. */
export class MemoryNetwork {
  /** Where its time comes from. */
  readonly clock: Clock;
  /** How long a dial waits for an answer. */
  readonly dialTimeoutMs: number;
  readonly #random: Random;
  readonly #conditions: Conditions;
  readonly #hosts = new Map<string, MemoryHost>();
  readonly #wires = new Map<string, Wire>();

  /** Has no hosts yet. */
  constructor(options: MemoryNetworkOptions) {
    this.clock = options.clock;
    this.dialTimeoutMs = options.dialTimeoutMs ?? 30_000;
    this.#random = options.random;
    this.#conditions = options.conditions ?? {};
  }

  /** A new host. */
  host(address: string): MemoryHost {
    if (this.#hosts.has(address)) throw new Error(`Cannot add a host: the address must be new, got ${address}`);
    const host = new MemoryHost(this, address);
    this.#hosts.set(address, host);
    return host;
  }

  /** The host with that address, if there is one. */
  find(address: string): MemoryHost | undefined {
    return this.#hosts.get(address);
  }

  /** The wire from one host to another. */
  wire(from: MemoryHost, to: MemoryHost): Wire {
    const key = `${from.address} → ${to.address}`;
    let wire = this.#wires.get(key);
    if (!wire) {
      wire = new Wire(this.clock, this.#random, from === to ? {} : this.#conditions);
      this.#wires.set(key, wire);
    }
    return wire;
  }

  /** Sets the conditions between two hosts, both ways. `wire(a, b).conditions = …` sets one way. */
  shape(a: MemoryHost, b: MemoryHost, conditions: Conditions): void {
    this.wire(a, b).conditions = conditions;
    this.wire(b, a).conditions = conditions;
  }

  /** Cuts every wire between the two groups until disposed. Datagrams are lost; streams wait. */
  partition(groupA: readonly MemoryHost[], groupB: readonly MemoryHost[]): Disposable {
    const wires = groupA.flatMap((a) => groupB.flatMap((b) => [this.wire(a, b), this.wire(b, a)]));
    for (const wire of wires) wire.cut();
    return { [Symbol.dispose]: () => wires.forEach((wire) => wire.heal()) };
  }
}

/** A host of the network: it listens, dials and sends datagrams. */
export class MemoryHost {
  /** The network that it is in. */
  readonly network: MemoryNetwork;
  /** Its address. */
  readonly address: string;
  readonly #listeners = new Map<number, MemoryListener>();
  readonly #sockets = new Map<number, MemoryDatagrams>();
  readonly #streams = new Set<MemoryStream>();
  #nextPort = FIRST_EPHEMERAL_PORT;

  /**
   * Made by the network.
   *
   * @internal
   */
  constructor(network: MemoryNetwork, address: string) {
    this.network = network;
    this.address = address;
  }

  /** Listens for streams; port 0 picks a free one. */
  listen(port = 0): MemoryListener {
    const local = this.#bind(port, this.#listeners);
    const listener = new MemoryListener(local, () => this.#listeners.delete(local.port));
    this.#listeners.set(local.port, listener);
    return listener;
  }

  /** Opens a datagram socket; port 0 picks a free one. */
  datagrams(port = 0): MemoryDatagrams {
    const local = this.#bind(port, this.#sockets);
    const socket = new MemoryDatagrams({
      local,
      send: (datagram, to) => this.#sendDatagram(datagram, local, to),
      onClose: () => this.#sockets.delete(local.port),
    });
    this.#sockets.set(local.port, socket);
    return socket;
  }

  /** A Path that starts at this host. */
  path(): MemoryPath {
    return new MemoryPath(this);
  }

  /** Dials another host; settles once it has accepted the connection into its backlog. */
  dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    const { signal } = options;
    const { clock, dialTimeoutMs } = this.network;
    const { promise, resolve, reject } = Promise.withResolvers<Stream>();
    if (signal?.aborted) return Promise.reject(signal.reason);
    const remote = this.network.find(target.host);
    if (!remote) return Promise.reject(dialError("unresolved", target, "the name has no address"));

    let isOver = false;
    const timer = clock.after(dialTimeoutMs, () => fail(dialError("timeout", target, "no answer came")));
    const onAbort = () => fail(signal!.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const finish = () => {
      isOver = true;
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const fail = (reason: unknown) => {
      finish();
      reject(reason);
    };

    this.network.wire(this, remote).carry(0, () => {
      if (isOver) return;
      const end = remote.#accept(this, target.port);
      this.network.wire(remote, this).carry(0, () => {
        if (isOver) return end?.abort();
        if (!end) return fail(dialError("refused", target, "nothing listens there"));
        finish();
        resolve(end);
      });
    });
    return promise;
  }

  /** What happens when its process is killed: listeners and sockets close, streams are reset. */
  kill(): void {
    for (const listener of [...this.#listeners.values()]) listener.close();
    for (const socket of [...this.#sockets.values()]) socket.close();
    for (const stream of this.#streams) stream.abort();
    this.#streams.clear();
  }

  /** Puts one end of a new stream into the listener's backlog; gives the other, or undefined when it is refused. */
  #accept(dialler: MemoryHost, port: number): MemoryStream | undefined {
    const listener = this.#listeners.get(port);
    const [ours, ourInside] = memoryStreamPair(STREAM_BUFFER_BYTES);
    if (!listener?.offer(ours)) return undefined;
    const [theirs, theirInside] = memoryStreamPair(STREAM_BUFFER_BYTES);
    const [toUs, toThem] = [this.network.wire(dialler, this), this.network.wire(this, dialler)];
    this.#streams.add(ours);
    dialler.#streams.add(theirs);
    Promise.all([
      carryStream({ from: theirInside, to: ourInside, wire: toUs, back: toThem }),
      carryStream({ from: ourInside, to: theirInside, wire: toThem, back: toUs }),
    ]).then(() => {
      this.#streams.delete(ours);
      dialler.#streams.delete(theirs);
    });
    return theirs;
  }

  #sendDatagram(datagram: Uint8Array, from: Target, to: Target): void {
    const remote = this.network.find(to.host);
    if (!remote) return;
    const copy = datagram.slice();
    this.network.wire(this, remote).send(copy.length, () => remote.#sockets.get(to.port)?.deliver(copy, from));
  }

  #bind(port: number, taken: ReadonlyMap<number, unknown>): Target {
    while (port === 0 || (port >= FIRST_EPHEMERAL_PORT && taken.has(port))) port = this.#nextPort++;
    if (taken.has(port)) {
      throw new CulvertError("port_in_use", `Cannot listen: the port must be free, got ${this.address}:${port}`);
    }
    return { host: this.address, port };
  }
}

/** Where connections to a host's port wait to be accepted. */
export class MemoryListener implements Disposable {
  /** Where it listens. */
  readonly local: Target;
  readonly #onClose: () => void;
  readonly #backlog: Stream[] = [];
  #waiting: { resolve(stream: Stream): void; reject(error: unknown): void } | undefined;
  #isClosed = false;

  /**
   * Made by a host.
   *
   * @internal
   */
  constructor(local: Target, onClose: () => void) {
    this.local = local;
    this.#onClose = onClose;
  }

  /** The next connection; rejects once closed. */
  accept(): Promise<Stream> {
    if (this.#isClosed) return Promise.reject(closedError(this.local));
    const waiting = this.#backlog.shift();
    if (waiting) return Promise.resolve(waiting);
    return new Promise((resolve, reject) => this.#waiting = { resolve, reject });
  }

  /** Takes a connection in, unless closed or full. */
  offer(stream: Stream): boolean {
    if (this.#isClosed || this.#backlog.length >= BACKLOG) return false;
    if (!this.#waiting) this.#backlog.push(stream);
    else {
      this.#waiting.resolve(stream);
      this.#waiting = undefined;
    }
    return true;
  }

  /** Stops listening; who waits for a stream is told. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onClose();
    this.#waiting?.reject(closedError(this.local));
    for (const stream of this.#backlog.splice(0)) stream.close();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function closedError(local: Target): Error {
  return new CulvertError("closed", `Cannot accept: the listener at ${formatTarget(local)} is closed`);
}

function dialError(code: "unresolved" | "refused" | "timeout", target: Target, why: string): DialError {
  return new DialError(code, `Cannot dial ${formatTarget(target)}: ${why}`);
}
