/**
 * A place of a raw carrier: its address and port, those of ours that it speaks with, and what has been sent there and heard
 * from there. `RawPlaces` gives the same object for the same four as long as it remembers them.
 */

import { equalIp, formatIp, type IpAddress } from "../../protocol/ip.ts";
import type { PacketPlace } from "../../protocol/packet_carrier.ts";
import { formatTarget } from "../../protocol/stream.ts";
import type { FlowEnds } from "../../protocol/tcp_look/header_template.ts";
import type { TcpFlow } from "../../protocol/tcp_look/tcp_flow.ts";
import type { TcpLook } from "../../protocol/tcp_look/look.ts";
import { SOCKADDR_IN, SOCKADDR_IN6 } from "../layout.ts";
import { ETHERNET_BYTES } from "./packet_socket.ts";
import { AF_INET, AF_INET6, hopName, putName } from "./raw_names.ts";

const MAC_BYTES = 6;

/** How frames get there: who is next on the way, and by which interface. */
export interface NextHop {
  readonly interfaceIndex: number;
  /** Its hardware address and ours; undefined where packets have no link header. */
  readonly macs: { readonly to: Uint8Array; readonly own: Uint8Array } | undefined;
}

export class RawPlace implements PacketPlace {
  /** The sockaddr that the kernel routes by. */
  readonly name: Uint32Array<ArrayBuffer>;
  readonly nameBytes: number;
  #ends: FlowEnds;
  #nextHop: NextHop | undefined;
  #isRouted = false;
  #hopName: Uint32Array<ArrayBuffer> | undefined;
  readonly #look: TcpLook;
  readonly #showsLocalPort: boolean;
  #flow: TcpFlow | undefined;
  #hasHeard = false;
  #nextSequence = 0;
  #timestamp = 0;
  #host: string | undefined;
  #key: string | undefined;

  constructor(ends: FlowEnds, look: TcpLook, showsLocalPort: boolean) {
    this.#ends = ends;
    this.#look = look;
    this.#showsLocalPort = showsLocalPort;
    this.nameBytes = this.isV6 ? SOCKADDR_IN6.size : SOCKADDR_IN.size;
    this.name = putName(ends.destination, this.isV6 ? AF_INET6 : AF_INET);
  }

  /** Ours is the source. */
  get ends(): FlowEnds {
    return this.#ends;
  }

  get isV6(): boolean {
    return this.ends.destination.length === 16;
  }

  get host(): string {
    return this.#host ??= formatIp(this.ends.destination);
  }

  get port(): number {
    return this.ends.destinationPort;
  }

  get key(): string {
    return this.#key ??= formatTarget(this) + (this.#showsLocalPort ? `>${this.ends.sourcePort}` : "");
  }

  /** Whether anything was ever sent there. */
  get hasSent(): boolean {
    return this.#flow !== undefined;
  }

  /** What is sent there, as it goes on from here. */
  get flow(): TcpFlow {
    const flow = this.#flow ??= this.#look.flow(this.ends);
    if (this.#hasHeard) {
      this.#hasHeard = false;
      flow.heard?.(this.#nextSequence, this.#timestamp);
    }
    return flow;
  }

  /** The way there is this one, whatever packets from there say. From another address of ours it begins again, as another connection would. */
  follow(hop: NextHop | undefined, source: IpAddress | undefined): void {
    this.nextHop = hop;
    this.#isRouted = true;
    if (!source || equalIp(source, this.#ends.source)) return;
    this.#ends = { ...this.#ends, source };
    this.#flow = undefined;
  }

  /** How frames get there; undefined when it is not known. */
  get nextHop(): NextHop | undefined {
    return this.#nextHop;
  }

  set nextHop(hop: NextHop | undefined) {
    if (hop === this.#nextHop) return;
    this.#nextHop = hop;
    this.#hopName = undefined;
  }

  /** The sockaddr_ll of the next hop, which must be known. */
  get hopName(): Uint32Array<ArrayBuffer> {
    return this.#hopName ??= hopName(this.#nextHop!.interfaceIndex, this.isV6);
  }

  /** The way back: to whoever on that interface has handed us a packet from there, by its link header in the bytes. */
  learnHop(interfaceIndex: number, bytes: Uint8Array<ArrayBuffer>, linkAt: number, linkBytes: number): void {
    if (this.#isRouted) return;
    const known = this.#nextHop, isEthernet = linkBytes === ETHERNET_BYTES;
    if (
      known?.interfaceIndex === interfaceIndex && (!known.macs || matches(known.macs.to, bytes, linkAt + MAC_BYTES))
    ) {
      return;
    }
    if (!isEthernet && linkBytes !== 0) return;
    const own = bytes.slice(linkAt, linkAt + MAC_BYTES), to = bytes.slice(linkAt + MAC_BYTES, linkAt + 2 * MAC_BYTES);
    this.nextHop = { interfaceIndex, macs: isEthernet ? { to, own } : undefined };
  }

  /** What the last packet from there said. */
  hear(nextSequence: number, timestamp: number): void {
    this.#hasHeard = true;
    this.#nextSequence = nextSequence;
    this.#timestamp = timestamp;
  }
}

/** Enough for ten thousand places. */
const ROWS = 4096;
/** Of one row: places whose addresses and ports come to the same. */
const WAYS = 4;

/**
 * A table of fixed size. Of a row the place goes that nothing was ever sent to, which is what a flood of forged sources
 * makes; if there is none, the one that was used least.
 */
export class RawPlaces {
  readonly #look: TcpLook;
  readonly #showsLocalPort: boolean;
  readonly #slots: (RawPlace | undefined)[] = new Array(ROWS * WAYS).fill(undefined);
  #last: RawPlace | undefined;

  /** `showsLocalPort`: whether keys tell our ports, since there are several. */
  constructor(look: TcpLook, showsLocalPort: boolean) {
    this.#look = look;
    this.#showsLocalPort = showsLocalPort;
  }

  /** The place that a packet came from: its addresses lie there in the bytes, the source first. */
  from(bytes: Uint8Array<ArrayBuffer>, at: number, isV6: boolean, theirPort: number, ourPort: number): RawPlace {
    const last = this.#last;
    if (last && isSame(last, bytes, at, isV6, theirPort, ourPort)) return last;
    const row = WAYS * rowOf(bytes, at, isV6, theirPort, ourPort);
    for (let slot = row; slot < row + WAYS; slot++) {
      const found = this.#slots[slot];
      if (!found || !isSame(found, bytes, at, isV6, theirPort, ourPort)) continue;
      if (slot > row) this.#moveUp(slot);
      return this.#last = found;
    }
    const size = isV6 ? 16 : 4;
    const destination = bytes.slice(at, at + size), source = bytes.slice(at + size, at + 2 * size);
    const ends = { source, sourcePort: ourPort, destination, destinationPort: theirPort };
    const made = new RawPlace(ends, this.#look, this.#showsLocalPort);
    return this.#last = this.#slots[this.#freeSlot(row)] = made;
  }

  /** The place that will be sent to from that address and port of ours. */
  of(ends: FlowEnds): RawPlace {
    const bytes = new Uint8Array([...ends.destination, ...ends.source]);
    return this.from(bytes, 0, ends.source.length === 16, ends.destinationPort, ends.sourcePort);
  }

  /** So that those which are used come before those which are not. */
  #moveUp(slot: number): void {
    const place = this.#slots[slot];
    this.#slots[slot] = this.#slots[slot - 1];
    this.#slots[slot - 1] = place;
  }

  #freeSlot(row: number): number {
    const last = row + WAYS - 1;
    for (let slot = row; slot <= last; slot++) if (!this.#slots[slot]) return slot;
    for (let slot = last; slot >= row; slot--) if (!this.#slots[slot]!.hasSent) return slot;
    return last;
  }
}

function isSame(
  { ends }: RawPlace,
  bytes: Uint8Array,
  at: number,
  isV6: boolean,
  theirPort: number,
  ourPort: number,
): boolean {
  const { source, destination } = ends, size = destination.length;
  if (ends.destinationPort !== theirPort || ends.sourcePort !== ourPort || isV6 !== (size === 16)) return false;
  return matches(destination, bytes, at) && matches(source, bytes, at + size);
}

function matches(address: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let index = address.length - 1; index >= 0; index--) if (address[index] !== bytes[at + index]) return false;
  return true;
}

function rowOf(bytes: Uint8Array, at: number, isV6: boolean, theirPort: number, ourPort: number): number {
  let hash = Math.imul(ourPort, 0x9e3779b1) ^ theirPort;
  for (let index = 0; index < (isV6 ? 16 : 4); index++) hash = Math.imul(hash ^ bytes[at + index]!, 0x01000193);
  return (hash ^ (hash >>> 15)) & (ROWS - 1);
}
