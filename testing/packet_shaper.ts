/**
 * A UDP relay on real sockets that makes of the loopback a line with a bandwidth, a queue, a delay and losses, each way,
 * without privileges and in every kernel; seeded, so that chance repeats itself as far as the order of packets does.
 *
 *   clients ⇄ shaper ⇄ target          all clients share one line up and one down, as behind one router
 *
 * Every client gets a socket of its own towards the target, as behind a NAT; beyond `CLIENTS` of them the others are not
 * heard. Timers tick in milliseconds, and so does it: what is due within one leaves together. Some 30,000 packets a second
 * each way (`bench/load/line.ts` is one for more, between namespaces, for anything that is IP).
 */

import { type Clock, clockOf, type Timer } from "../protocol/clock.ts";
import type { Target } from "../protocol/stream.ts";
import { type LineConditions, NEVER, PacketLine } from "./packet_line.ts";
import { PacketQueue } from "./packet_queue.ts";
import { SeededRandom } from "./seeded_random.ts";

export interface PacketShaperOptions {
  /** Where datagrams lead: an IP address. */
  readonly to: Target;
  readonly up: LineConditions;
  /** Default: as `up`. */
  readonly down?: LineConditions;
  /** Default 1. */
  readonly seed?: number;
  readonly clock?: Clock;
}

const CLIENTS = 256;
const QUEUE_BYTES = 32 * 1024 * 1024;
const BUFFER_BYTES = 65_536;
/** A datagram's headers use the line as well: IPv4 and UDP. */
const HEADER_BYTES = 28;

interface Client {
  readonly address: Deno.NetAddr;
  readonly socket: Deno.DatagramConn;
  readonly index: number;
}

export class PacketShaper implements AsyncDisposable {
  /** Where to send instead of to the target. */
  readonly address: Target;
  readonly up: PacketLine;
  readonly down: PacketLine;
  readonly #clock: Clock;
  readonly #socket: Deno.DatagramConn;
  readonly #to: Deno.NetAddr;
  readonly #clients: Client[] = [];
  readonly #byAddress = new Map<string, Client>();
  readonly #work = new Set<Promise<void>>();
  readonly #toTarget: Holder;
  readonly #toClients: Holder;

  private constructor(options: PacketShaperOptions) {
    const { to, up, down = up, seed = 1, clock = clockOf(globalThis) } = options;
    const random = new SeededRandom(seed);
    this.up = new PacketLine(random, up);
    this.down = new PacketLine(random, down);
    this.#clock = clock;
    this.#to = { transport: "udp", hostname: to.host, port: to.port };
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    const { hostname, port } = this.#socket.addr as Deno.NetAddr;
    this.address = { host: hostname, port };
    this.#toTarget = new Holder(clock, this.up, (bytes, { socket }) => socket.send(bytes, this.#to));
    this.#toClients = new Holder(clock, this.down, (bytes, { address }) => this.#socket.send(bytes, address));
    this.#begin(this.#receiveFromClients());
  }

  /** Starts one on a free port of 127.0.0.1. */
  static start(options: PacketShaperOptions): PacketShaper {
    return new PacketShaper(options);
  }

  /** Closes every socket and waits until nothing is under way; what was held back is lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#toTarget.close();
    this.#toClients.close();
    this.#socket.close();
    for (const { socket } of this.#clients) socket.close();
    await Promise.all(this.#work);
    await Promise.all([this.#toTarget.settled(), this.#toClients.settled()]);
  }

  async #receiveFromClients(): Promise<void> {
    const buffer = new Uint8Array(BUFFER_BYTES);
    for (;;) {
      const [bytes, from] = await this.#socket.receive(buffer);
      const client = this.#clientAt(from as Deno.NetAddr);
      if (client) this.#toTarget.hold(bytes, client, this.#clock.now());
    }
  }

  async #receiveFor(client: Client): Promise<void> {
    const buffer = new Uint8Array(BUFFER_BYTES);
    for (;;) {
      const [bytes] = await client.socket.receive(buffer);
      this.#toClients.hold(bytes, client, this.#clock.now());
    }
  }

  #clientAt(address: Deno.NetAddr): Client | undefined {
    const key = `${address.hostname} ${address.port}`;
    const known = this.#byAddress.get(key);
    if (known || this.#clients.length === CLIENTS) return known;
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 });
    const client = { address, socket, index: this.#clients.length };
    this.#clients.push(client);
    this.#byAddress.set(key, client);
    this.#begin(this.#receiveFor(client));
    return client;
  }

  /** Receiving ends with an error once the socket is closed, and by no other way. */
  #begin(receiving: Promise<void>): void {
    this.#work.add(receiving.catch(() => {}));
  }
}

/** One direction: what it holds back, and the timer for the first of it. */
class Holder {
  readonly #clock: Clock;
  readonly #line: PacketLine;
  readonly #queue = new PacketQueue(QUEUE_BYTES);
  readonly #send: (bytes: Uint8Array, client: Client) => Promise<unknown>;
  readonly #clients: Client[] = [];
  readonly #sending = new Set<Promise<void>>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(clock: Clock, line: PacketLine, send: (bytes: Uint8Array, client: Client) => Promise<unknown>) {
    this.#clock = clock;
    this.#line = line;
    this.#send = send;
  }

  hold(bytes: Uint8Array, client: Client, nowMs: number): void {
    const dueMs = this.#line.admit(bytes.length + HEADER_BYTES, nowMs);
    this.#clients[client.index] = client;
    if (dueMs === NEVER || this.#isClosed || !this.#queue.push(bytes, client.index, dueMs)) return;
    if (dueMs <= nowMs) this.#release();
    else this.#timer ??= this.#clock.after(dueMs - nowMs, () => this.#release());
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async settled(): Promise<void> {
    await Promise.all(this.#sending);
  }

  #release(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.now();
    while (this.#queue.take(nowMs)) {
      const { bytes, start, end, tag } = this.#queue;
      // Lost like any other datagram when it cannot go.
      const sent = this.#send(bytes.slice(start, end), this.#clients[tag]!).then(() => {}, () => {});
      this.#sending.add(sent);
      sent.finally(() => this.#sending.delete(sent));
    }
    const waitMs = this.#queue.nextDueMs - nowMs;
    if (waitMs < Infinity && !this.#isClosed) this.#timer = this.#clock.after(waitMs, () => this.#release());
  }
}
