/**
 * Two UDP sockets on loopback, one of which sends to the other by way of whoever is measured: as fast as that goes, or one
 * datagram there and back. So much is under way at a time and no more, so that what is measured is how fast datagrams are
 * passed on and not how many a flood loses.
 *
 * Sends as our devices do, in batches that the kernel cuts up (UDP_SEGMENT), and takes batches (UDP_GRO), so that the pair
 * costs much less than what lies between.
 */

import { Slab } from "../../protocol/slab.ts";
import { type Libc, openLibc } from "../../native/libc.ts";
import { PollSet } from "../../native/poll.ts";
import { UdpEndpoint } from "../../native/udp_endpoint.ts";
import { UDP_RECEIVE_BYTES, UdpSocket } from "../../native/udp_socket.ts";

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const BATCH_BYTES = 60_000;
/** Nothing has come for so long: what was under way is lost. */
const LOST_MS = 20;
const REPLY_MS = 1000;

export interface PumpSettings {
  readonly measureMs: number;
  readonly warmMs: number;
  /** How much may be under way. */
  readonly windowBytes: number;
  /** False: each datagram is sent by itself. */
  readonly batched?: boolean;
}

export interface PumpResult {
  readonly gbitPerS: number;
  readonly perS: number;
  /** What has come in all, while warming up too, and the time that took. */
  readonly allGbit: number;
  readonly allMs: number;
  readonly lostPct: number;
}

export class DatagramPair implements Disposable {
  readonly near: DatagramEnd;
  readonly far: DatagramEnd;
  readonly #resources: DisposableStack;

  constructor() {
    using resources = new DisposableStack();
    const libc = resources.use(openLibc());
    this.near = resources.use(new DatagramEnd(libc));
    this.far = resources.use(new DatagramEnd(libc));
    this.#resources = resources.move();
  }

  /** Sends the datagram from near to a port again and again, and counts what comes to the far end. */
  pump(port: number, datagram: Uint8Array, settings: PumpSettings): PumpResult {
    const { warmMs, measureMs, windowBytes, batched = true } = settings;
    const send = this.near.sender(port, datagram, batched ? Math.floor(BATCH_BYTES / datagram.length) : 1);
    const begunMs = performance.now(), startMs = begunMs + warmMs, endMs = startMs + measureMs;
    let [underWay, bytes, datagrams, lost, total, all] = [0, 0, 0, 0, 0, 0];
    let arrivedMs = begunMs;
    for (let nowMs = arrivedMs; nowMs < endMs; nowMs = performance.now()) {
      while (underWay < windowBytes) {
        underWay += send();
        total++;
      }
      let arrived = 0;
      for (let length = this.far.receive(); length > 0; length = this.far.receive()) {
        arrived += length;
        datagrams += nowMs >= startMs ? Math.ceil(length / this.far.segmentBytes) : 0;
      }
      all += arrived;
      if (nowMs >= startMs) bytes += arrived;
      underWay = Math.max(0, underWay - arrived);
      if (arrived > 0) arrivedMs = nowMs;
      else if (nowMs - arrivedMs < LOST_MS) this.far.wait(1);
      else [lost, underWay, arrivedMs] = [lost + underWay, 0, nowMs];
    }
    const sentBytes = total * send.bytes;
    return {
      gbitPerS: bytes * 8 / measureMs / 1e6,
      perS: datagrams / measureMs * 1000,
      allGbit: all * 8 / 1e9,
      allMs: performance.now() - begunMs,
      lostPct: 100 * lost / sentBytes,
    };
  }

  /** Median milliseconds from near to far and back, by these ports. */
  roundTrip(there: number, back: number, datagram: Uint8Array, count: number): number {
    const send = this.near.sender(there, datagram, 1), answer = this.far.sender(back, datagram, 1);
    const tookMs: number[] = [];
    for (let round = 0; round < count; round++) {
      const startMs = performance.now();
      send();
      this.far.await();
      answer();
      this.near.await();
      tookMs.push(performance.now() - startMs);
    }
    return tookMs.toSorted((a, b) => a - b)[count >> 1]!;
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }
}

export class DatagramEnd implements Disposable {
  readonly #socket: UdpSocket;
  readonly #poll: PollSet;
  readonly #inbox = new Slab(UDP_RECEIVE_BYTES);

  constructor(libc: Libc) {
    this.#socket = new UdpSocket(libc, { isV6: false, port: 0 });
    this.#poll = new PollSet(libc, 1);
    this.#poll.add(this.#socket.fd);
  }

  get port(): number {
    return this.#socket.port;
  }

  get segmentBytes(): number {
    return this.#socket.segmentBytes;
  }

  /** What sends so many copies of a datagram at once, and gives their bytes. */
  sender(port: number, datagram: Uint8Array, copies: number): (() => number) & { readonly bytes: number } {
    const to = UdpEndpoint.from({ address: LOOPBACK, port });
    const bytes = datagram.length * copies;
    const slab = new Slab(bytes);
    for (let copy = 0; copy < copies; copy++) slab.bytes.set(datagram, copy * datagram.length);
    const send = () => {
      this.#socket.sender.queue(slab, 0, bytes, datagram.length, to, 0);
      this.#socket.sender.flush();
      return bytes;
    };
    return Object.assign(send, { bytes });
  }

  send(port: number, datagram: Uint8Array): void {
    this.sender(port, datagram, 1)();
  }

  /** The length of what came at once; -1 when nothing has. */
  receive(): number {
    return this.#socket.receive(this.#inbox, 0);
  }

  wait(timeoutMs: number): void {
    this.#poll.wait(timeoutMs);
  }

  /** The next datagram; throws when none comes. */
  await(): Uint8Array {
    let length = this.receive();
    for (const untilMs = performance.now() + REPLY_MS; length < 0; length = this.receive()) {
      if (performance.now() > untilMs) throw new Error(`Cannot measure: no datagram came within ${REPLY_MS} ms`);
      this.#poll.wait(REPLY_MS);
    }
    return this.#inbox.bytes.subarray(0, length);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}
