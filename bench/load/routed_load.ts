/**
 * What is sent through a packet relay on this machine: datagrams of any number of flows, each with its own ticket and its own
 * source, an address of 127/8. Does what the lines of its standard input say and answers each with a line of JSON:
 *
 *   open PORT KEY FLOWS         flows through the relay on that port; their tickets are made with its key (base64)
 *   pump BYTES WARM_MS MS       datagrams of that size in turn from every flow: how many arrived a second
 *   burst BYTES WARM_MS MS      the same from one flow, as batches that the kernel cuts up
 *
 * So much is under way at a time and no more, so that what is measured is how fast datagrams are led on.
 */

import { type Libc, openLibc } from "../../native/libc.ts";
import { PollSet } from "../../native/poll.ts";
import { nameWord, UdpEndpoint } from "../../native/udp_endpoint.ts";
import { AF_INET } from "../../native/udp_options.ts";
import { UDP_RECEIVE_BYTES, UdpSocket } from "../../native/udp_socket.ts";
import { randomOf } from "../../protocol/random.ts";
import { headByte, routeBytes, RouteKind } from "../../protocol/sealed_route/datagram.ts";
import { EpochKeys } from "../../protocol/sealed_route/epoch_keys.ts";
import { MAX_LIFETIME_MS, TicketSealer } from "../../protocol/sealed_route/ticket.ts";
import { Slab } from "../../protocol/slab.ts";
import { portableWireGuardCrypto } from "../../protocol/wireguard/crypto.ts";

const LOOPBACK_WORD = 0x0100007f;
const BATCH = 64;
/** What the far socket's buffer holds of small datagrams, with what the kernel adds to each. */
const WINDOW = 2048;
/** Nothing has come for so long: what was under way is lost. */
const LOST_MS = 20;
const BURST_BYTES = 60_000;

export async function serveRoutedLoad(lines: AsyncIterable<string>, print: (line: unknown) => void): Promise<void> {
  using libc = openLibc();
  using load = new RoutedLoad(libc);
  print({ ready: true });
  for await (const line of lines) {
    const [what, ...words] = line.split(" ");
    if (what === "open") {
      load.open(Number(words[0]), Uint8Array.fromBase64(words[1]!), Number(words[2]));
      print({ flows: Number(words[2]) });
    } else if (what === "pump" || what === "burst") {
      const [bytes, warmMs, measureMs] = words.map(Number) as [number, number, number];
      print(load.pump({ bytes, warmMs, measureMs, isBurst: what === "burst" }));
    }
  }
}

interface Flow {
  readonly from: UdpEndpoint;
  readonly ticket: Uint8Array;
}

class RoutedLoad implements Disposable {
  readonly #near: UdpSocket;
  readonly #far: UdpSocket;
  readonly #poll: PollSet;
  readonly #inbox = new Slab(UDP_RECEIVE_BYTES);
  #flows: readonly Flow[] = [];

  constructor(libc: Libc) {
    this.#near = new UdpSocket(libc, { isV6: false, port: 0 });
    this.#far = new UdpSocket(libc, { isV6: false, port: 0 });
    this.#poll = new PollSet(libc, 1);
    this.#poll.add(this.#far.fd);
  }

  open(port: number, relayKey: Uint8Array<ArrayBuffer>, count: number): void {
    using keys = new EpochKeys(relayKey, portableWireGuardCrypto);
    const sealer = new TicketSealer(keys, randomOf(crypto));
    const b = { address: Uint8Array.of(127, 0, 0, 1), port: this.#far.port };
    const ticket = new Slab(64);
    this.#flows = Array.from({ length: count }, (_, index) => {
      const address = Uint8Array.of(127, 1 + (index >> 16), index >> 8 & 255, index & 255);
      const fields = { a: { address, port: this.#near.port }, b, account: 0, lifetimeMs: MAX_LIFETIME_MS };
      sealer.seal(ticket, 0, fields, Date.now());
      const ours = address[0]! | address[1]! << 8 | address[2]! << 16 | address[3]! << 24;
      const from = new UdpEndpoint(Uint32Array.of(nameWord(AF_INET, port), LOOPBACK_WORD, ours >>> 0));
      return { from, ticket: ticket.bytes.slice() };
    });
  }

  pump(
    { bytes, warmMs, measureMs, isBurst }: {
      readonly bytes: number;
      readonly warmMs: number;
      readonly measureMs: number;
      readonly isBurst: boolean;
    },
  ): { readonly perS: number; readonly all: number; readonly lost: number } {
    const send = isBurst ? this.#burster(bytes) : this.#sender(bytes);
    const startMs = performance.now() + warmMs, endMs = startMs + measureMs;
    let [underWay, measured, all, lost, arrivedMs] = [0, 0, 0, 0, performance.now()];
    for (let nowMs = performance.now(); nowMs < endMs; nowMs = performance.now()) {
      while (underWay < WINDOW) underWay += send();
      let arrived = 0;
      for (let length = this.#receive(); length > 0; length = this.#receive()) {
        arrived += Math.ceil(length / this.#far.segmentBytes);
      }
      all += arrived;
      if (nowMs >= startMs) measured += arrived;
      underWay = Math.max(0, underWay - arrived);
      if (arrived > 0) arrivedMs = nowMs;
      else if (nowMs - arrivedMs < LOST_MS) this.#poll.wait(1);
      else [lost, underWay, arrivedMs] = [lost + underWay, 0, nowMs];
    }
    return { perS: measured / measureMs * 1000, all, lost };
  }

  [Symbol.dispose](): void {
    this.#near[Symbol.dispose]();
    this.#far[Symbol.dispose]();
  }

  #receive(): number {
    return this.#far.receive(this.#inbox, 0);
  }

  /** Sends the next datagrams, each of the flow after the last one's. */
  #sender(bytes: number): () => number {
    const flows = this.#flows, slab = new Slab(flows.length * bytes);
    flows.forEach(({ ticket }, index) => this.#write(slab, index * bytes, ticket));
    let next = 0;
    return () => {
      for (let count = 0; count < BATCH; count++) {
        this.#near.sender.queue(slab, next * bytes, bytes, bytes, flows[next]!.from, 0);
        next = (next + 1) % flows.length;
      }
      this.#near.sender.flush();
      return BATCH;
    };
  }

  #burster(bytes: number): () => number {
    const { ticket, from } = this.#flows[0]!, count = Math.min(BATCH, Math.floor(BURST_BYTES / bytes));
    const slab = new Slab(count * bytes);
    for (let index = 0; index < count; index++) this.#write(slab, index * bytes, ticket);
    return () => {
      this.#near.sender.queue(slab, 0, count * bytes, bytes, from, 0);
      this.#near.sender.flush();
      return count;
    };
  }

  #write(slab: Slab, at: number, ticket: Uint8Array): void {
    slab.bytes[at] = headByte(RouteKind.data, 1, 0);
    slab.bytes.set(ticket, at + routeBytes(0));
  }
}
