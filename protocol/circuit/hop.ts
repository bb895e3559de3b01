/**
 * A hop's side of one circuit, as a pure machine: it opens its layer of what comes from the owner, and adds its layer to
 * what goes back.
 *
 *   from the owner    open(slab, cells)     a relay: the cells for the next hop     a gateway: the bytes of DATA cells
 *   to the owner      wrap(slab, cells)     a relay: cells of the next hop          sealData, sealCell: the hop's own
 *
 *   relay:  alone ──EXTEND──▶ extending ──answerExtend──▶ passing, or alone again
 *
 * It works in place on slabs with many cells, and knows neither streams nor links: whoever drives it reads whole cells
 * into a slab and writes out what is left there. Any cell that does not open, or is against the rules, is the end: `open`
 * gives FAULT, and from then on nothing else. After the owner's END cells are dropped.
 */

import type { SealKeys } from "../sealed_handshake.ts";
import type { Slab } from "../slab.ts";
import type { WireGuardCrypto } from "../wireguard/crypto.ts";
import {
  bodyBytesAt,
  bodyLength,
  CELL_BYTES,
  CELL_HEADER_BYTES,
  CellCommand,
  encodeExtended,
  type ExtendRequest,
  type HopAnswer,
  type HopKind,
  MAX_HOPS,
  parseExtend,
  spreadIntoCells,
  writeCellHeader,
} from "./cell.ts";
import type { Filler } from "./filler.ts";
import { Layer, OWN, PASSED } from "./layer.ts";

/** What `open` gives when the circuit is broken. */
export const FAULT = -1;

export interface HopOptions {
  readonly kind: HopKind;
  readonly crypto: WireGuardCrypto;
  /** Is shared by the circuits of a process. */
  readonly filler: Filler;
  /** Taken over. */
  readonly keys: SealKeys;
  /** Counted from 1, as the handshake says it. */
  readonly position: number;
}

export interface HopEvents {
  /** The owner wants another hop (relays only). `extended` or `declined` is to follow. */
  onExtend(request: ExtendRequest): void;
  /** The owner has ended the circuit. */
  onEnd(code: number): void;
}

/** Whether a hop of this kind can be at the position. */
export function isPosition(kind: HopKind, position: number): boolean {
  return position >= 1 && position <= (kind === "gateway" ? MAX_HOPS : MAX_HOPS - 1);
}

/** Disposing wipes the keys. */
export class CircuitHop implements Disposable {
  readonly position: number;
  readonly kind: HopKind;
  /** The most bytes of one DATA cell of this hop. */
  readonly dataBytes: number;
  readonly #events: HopEvents;
  readonly #filler: Filler;
  readonly #layer: Layer;
  #state: "alone" | "extending" | "passing" | "ended" | "broken" = "alone";

  constructor({ kind, crypto: suite, filler, keys, position }: HopOptions, events: HopEvents) {
    if (!isPosition(kind, position)) {
      throw new RangeError(`Cannot be a hop: a ${kind}'s position must be 1 to ${MAX_HOPS}, got ${position}`);
    }
    this.position = position;
    this.kind = kind;
    this.dataBytes = bodyBytesAt(position);
    this.#events = events;
    this.#filler = filler;
    this.#layer = new Layer(suite, keys, position);
  }

  /** There is a next hop, and cells are passed on to it. */
  get isPassing(): boolean {
    return this.#state === "passing";
  }

  /**
   * Opens `cells` cells at the slab's start, in place. What goes on is then at the slab's start, and the result is its
   * length: whole cells for the next hop (relay) or the bytes that DATA cells held (gateway). FAULT ends the circuit.
   */
  open(slab: Slab, cells: number): number {
    let kept = 0;
    for (let cell = 0; cell < cells; cell++) {
      if (this.#state === "broken" || this.#state === "ended") break;
      const at = cell * CELL_BYTES;
      const flag = this.#layer.open(slab, at);
      if (flag === PASSED && this.#state === "passing") {
        if (kept < at) slab.bytes.copyWithin(kept, at, at + this.#layer.innerBytes);
        this.#filler.fill(slab.bytes, kept + this.#layer.innerBytes, kept + CELL_BYTES);
        kept += CELL_BYTES;
      } else if (flag === OWN) {
        kept = this.#take(slab, at, kept);
      } else return this.#break();
    }
    return this.#state === "broken" ? FAULT : kept;
  }

  /** Adds the layer of this hop to `cells` cells of the next one at the slab's start, in place. */
  wrap(slab: Slab, cells: number): void {
    for (let at = 0; at < cells * CELL_BYTES; at += CELL_BYTES) this.#seal(slab, at, PASSED);
  }

  /** Makes DATA cells of `count` bytes at the slab's start, in place (gateways); gives how many cells there are then. */
  sealData(slab: Slab, count: number): number {
    const cells = spreadIntoCells(slab, count, this.position);
    for (let at = 0; at < cells * CELL_BYTES; at += CELL_BYTES) this.#seal(slab, at, OWN);
    return cells;
  }

  /** Makes a cell of this hop's own at `at`: PADDING without a body, or END with its code. */
  sealCell(slab: Slab, at: number, command: CellCommand, body: Uint8Array = NOTHING): void {
    slab.bytes.set(body, at + CELL_HEADER_BYTES);
    writeCellHeader(slab, at, { command, length: body.length, position: this.position });
    this.#seal(slab, at, OWN);
  }

  /** Tells the owner, by a cell made at `at`, what has become of its EXTEND. With status 0 cells are passed on now. */
  answerExtend(slab: Slab, at: number, answer: HopAnswer): void {
    if (this.#state === "extending") this.#state = answer.status === 0 ? "passing" : "alone";
    this.sealCell(slab, at, CellCommand.EXTENDED, encodeExtended(answer));
  }

  [Symbol.dispose](): void {
    this.#state = "broken";
    this.#layer[Symbol.dispose]();
  }

  #seal(slab: Slab, at: number, flag: typeof PASSED | typeof OWN): void {
    this.#layer.seal(slab, at, flag);
    this.#filler.fill(slab.bytes, at + this.#layer.sealedBytes, at + CELL_BYTES);
  }

  /** A cell for this hop. DATA is moved to `kept`; gives where the next goes. */
  #take(slab: Slab, at: number, kept: number): number {
    const length = bodyLength(slab, at, this.position);
    const from = at + CELL_HEADER_BYTES;
    if (length < 0) return this.#break();
    switch (slab.bytes[at]) {
      case CellCommand.DATA:
        if (this.kind !== "gateway") return this.#break();
        slab.bytes.copyWithin(kept, from, from + length);
        return kept + length;
      case CellCommand.PADDING:
        return kept;
      case CellCommand.EXTEND:
        this.#extend(parseExtend(slab.bytes.subarray(from, from + length)));
        return kept;
      case CellCommand.END:
        this.#state = "ended";
        this.#events.onEnd(length > 0 ? slab.bytes[from]! : 0);
        return kept;
      default:
        return this.#break();
    }
  }

  #extend(request: ExtendRequest | undefined): void {
    if (!request || this.kind !== "relay" || this.#state !== "alone") return void this.#break();
    this.#state = "extending";
    this.#events.onExtend(request);
  }

  #break(): typeof FAULT {
    this.#state = "broken";
    return FAULT;
  }
}

const NOTHING = new Uint8Array(0);
