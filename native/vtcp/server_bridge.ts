/**
 * The server's bridge: what clients send in the carrier's packets goes to our QUIC endpoint on loopback, from an address for
 * each client, and back.
 *
 *   client ⇄ carrier ⇄ here ⇄ loopback UDP (127.64.0.1, .2, …) ⇄ QUIC
 *
 * With a gate only those who have said hello are clients, whatever their place has become since, and nobody else is
 * answered; the cost of a packet from elsewhere is one keyed hash. Without one, whoever begins as QUIC does is. Clients are
 * bounded: when there are too many, one that has been silent longer goes (second chance), or with a gate, and all of them
 * talking, the new one is told that there is no room.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import type { Log } from "../../protocol/log.ts";
import type { PacketCarrier, PacketPlace } from "../../protocol/packet_carrier.ts";
import type { Bytes } from "../../protocol/primitives.ts";
import type { KnownClient } from "../../protocol/sealed_packets/clients.ts";
import type { Slab } from "../../protocol/slab.ts";
import { formatTarget } from "../../protocol/stream.ts";
import type { Admitted, ServerGate } from "../../protocol/vtcp/server_gate.ts";
import type { BridgeNews, ServerBridgeOptions } from "./bridge_messages.ts";
import { type LocalCarrier, passOn } from "./local_carrier.ts";

const SWEEP_MS = 10_000;
/** Who has been heard within this, and said as much as nobody does who only forges senders, is not put out for another. */
const TALKING_MS = 10_000;
const TALKING_PACKETS = 3;
/** The first packet of a QUIC connection: a long head, and no shorter (RFC 9000 §14.1, §17.2). */
const LEAST_INITIAL_BYTES = 1200;
const LONG_HEAD = 0xc0;

interface Client {
  readonly index: number;
  /** Of the gate; without one, its place. */
  readonly id: string;
  readonly known: KnownClient | undefined;
  readonly quic: PacketPlace;
  place: PacketPlace;
  heardMs: number;
  packets: number;
}

export interface ServerBridgeParts {
  readonly local: Pick<LocalCarrier, "carrier" | "placeOf" | "indexOf" | "addressOf">;
  readonly remote: PacketCarrier;
  readonly gate?: ServerGate;
  readonly clock: Clock;
  readonly log: Log;
  tell(news: BridgeNews): void;
  onFailure(error: unknown): void;
}

export class ServerBridge implements Disposable {
  readonly #options: ServerBridgeOptions;
  readonly #parts: ServerBridgeParts;
  readonly #byPlace = new Map<string, Client>();
  /** In the order in which they were last given a chance. */
  readonly #byId = new Map<string, Client>();
  readonly #byIndex: (Client | undefined)[] = [undefined];
  readonly #free: number[] = [];
  #nowMs: number;
  #lastPlace: PacketPlace | undefined;
  #last: Client | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: ServerBridgeOptions, parts: ServerBridgeParts) {
    this.#options = options;
    this.#parts = parts;
    this.#nowMs = parts.clock.now();
    parts.remote.start({
      onPacket: (slab, start, end, from) => this.#onRemote(slab, start, end, from),
      onTurn: () => this.#onTurn(parts.local.carrier),
      onClose: (error) => parts.onFailure(error),
    });
    parts.local.carrier.start({
      onPacket: (slab, start, end, from) => this.#onLocal(slab, start, end, from),
      onTurn: () => this.#onTurn(parts.remote),
      onClose: (error) => parts.onFailure(error),
    });
    this.#sweepLater();
  }

  get clientCount(): number {
    return this.#byId.size;
  }

  /** Nothing of that client is passed on any more. */
  revoke(known: KnownClient): void {
    for (const client of [...this.#byId.values()]) if (client.known === known) this.#remove(client);
  }

  /** What comes before the carriers have ended too is dropped. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#parts.gate?.[Symbol.dispose]();
  }

  #onTurn(carrier: PacketCarrier): void {
    this.#nowMs = this.#parts.clock.now();
    carrier.flush();
  }

  #onLocal(slab: Slab, start: number, end: number, from: PacketPlace): void {
    const { local, remote } = this.#parts;
    const client = this.#byIndex[local.indexOf(from)];
    if (client && end - start <= remote.maxPayloadBytes) passOn(slab, start, end, remote, client.place);
  }

  #onRemote(slab: Slab, start: number, end: number, from: PacketPlace): void {
    const { gate } = this.#parts;
    if (this.#isClosed) return;
    const client = this.#clientAt(from) ?? (gate ? undefined : this.#takeIn(slab, start, end, from));
    if (gate && gate.isHello(slab.bytes, start, end)) return this.#onHello(gate, slab, start, end, from);
    if (!client) return;
    client.heardMs = this.#nowMs;
    client.packets++;
    passOn(slab, start, end, this.#parts.local.carrier, client.quic);
  }

  #clientAt(place: PacketPlace): Client | undefined {
    if (place !== this.#lastPlace) {
      this.#lastPlace = place;
      this.#last = this.#byPlace.get(place.key);
      // The newest of its name knows best how to answer: from which address of ours, in which flow.
      if (this.#last) this.#last.place = place;
    }
    return this.#last;
  }

  #onHello(gate: ServerGate, slab: Slab, start: number, end: number, from: PacketPlace): void {
    const verdict = gate.receive(slab.bytes, start, end, from.host);
    if (verdict.kind === "ignored") return;
    if (verdict.kind === "admitted") {
      return this.#answer(this.#admit(verdict, from) ? verdict.answer() : verdict.refuse(), from);
    }
    const { reason, client = "nobody known" } = verdict;
    this.#parts.log.warn("A hello was refused", { reason, client, from: formatTarget(from) });
    this.#answer(verdict.answer, from);
  }

  #answer(bytes: Bytes, to: PacketPlace): void {
    const { remote } = this.#parts;
    const at = remote.reserve(bytes.length);
    remote.slab.bytes.set(bytes, at);
    remote.commit(bytes.length, to);
    remote.flush();
  }

  /** Knows the client by its hello, wherever it is now. */
  #admit({ id, client: known, token }: Admitted, from: PacketPlace): boolean {
    const before = this.#byId.get(id);
    const client = before ?? this.#add(id, from, known);
    if (!client) return false;
    if (before) this.#move(before, from);
    const { local, tell } = this.#parts;
    if (!before) {
      tell({ type: "client", address: local.addressOf(client.index), at: from.host, name: known.name, token });
    }
    return true;
  }

  /** A place that nobody vouches for. */
  #takeIn(slab: Slab, start: number, end: number, from: PacketPlace): Client | undefined {
    const isInitial = end - start >= LEAST_INITIAL_BYTES && (slab.bytes[start]! & LONG_HEAD) === LONG_HEAD;
    const client = isInitial ? this.#add(from.key, from, undefined) : undefined;
    if (client) this.#parts.tell({ type: "client", address: this.#parts.local.addressOf(client.index), at: from.host });
    return client;
  }

  #add(id: string, place: PacketPlace, known: KnownClient | undefined): Client | undefined {
    if (this.#byId.size >= this.#options.maxClients && !this.#makeRoom()) return undefined;
    const index = this.#free.pop() ?? this.#byIndex.length;
    const quic = this.#parts.local.placeOf(index);
    const client: Client = { index, id, known, quic, place, heardMs: this.#nowMs, packets: 0 };
    this.#byIndex[index] = client;
    this.#byId.set(id, client);
    this.#settle(client, place);
    return client;
  }

  #move(client: Client, place: PacketPlace): void {
    client.heardMs = this.#nowMs;
    if (this.#byPlace.get(client.place.key) === client) this.#byPlace.delete(client.place.key);
    this.#settle(client, place);
  }

  #settle(client: Client, place: PacketPlace): void {
    client.place = place;
    this.#byPlace.set(place.key, client);
    this.#lastPlace = undefined;
  }

  #remove(client: Client): void {
    const { local, tell } = this.#parts;
    this.#byId.delete(client.id);
    if (this.#byPlace.get(client.place.key) === client) this.#byPlace.delete(client.place.key);
    this.#byIndex[client.index] = undefined;
    this.#free.push(client.index);
    this.#lastPlace = undefined;
    tell({ type: "gone", address: local.addressOf(client.index) });
  }

  /** Puts out one that is silent; looks at no more than a few. */
  #makeRoom(): boolean {
    let looks = 8;
    for (const [id, client] of this.#byId) {
      const isTalking = client.packets >= TALKING_PACKETS && this.#nowMs - client.heardMs < TALKING_MS;
      if (!isTalking) {
        this.#remove(client);
        return true;
      }
      this.#byId.delete(id);
      this.#byId.set(id, client);
      if (--looks === 0) return false;
    }
    return false;
  }

  #sweepLater(): void {
    const { clock } = this.#parts;
    this.#timer = clock.after(SWEEP_MS, () => {
      this.#nowMs = clock.now();
      for (const client of [...this.#byId.values()]) {
        if (this.#nowMs - client.heardMs >= this.#options.idleMs) this.#remove(client);
      }
      this.#sweepLater();
    });
  }
}
