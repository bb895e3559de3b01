/**
 * The owner's side of one circuit, as a pure machine: adds hops one by one, seals what it says under a layer for each hop
 * up to the one that is meant, and opens what comes back layer by layer.
 *
 *   create(hop) ──in a CREATE──▶ … ──CREATED──▶ created()                     the first hop
 *   extend(slab, at, hop) ──a cell──▶ … ──a cell──▶ onHop in open()           each next one, through those there are
 *   sealData(slab, bytes), open(slab, cells)                                  once the last hop is a gateway
 *
 * It works in place on slabs with many cells, as `hop.ts` does. Hops are numbered from 1. A cell that does not open at
 * every layer is the end: `open` gives FAULT, and from then on nothing else.
 */

import type { Bytes } from "../primitives.ts";
import { randomInt } from "../random.ts";
import type { SealTools } from "../sealed_handshake.ts";
import type { Slab } from "../slab.ts";
import {
  bodyBytesAt,
  bodyLength,
  CELL_BYTES,
  CELL_HEADER_BYTES,
  CellCommand,
  encodeExtend,
  type HopAnswer,
  type HopKind,
  MAX_HOPS,
  parseExtended,
  spreadIntoCells,
  writeCellHeader,
} from "./cell.ts";
import { type HopIdentity, HopInitiator } from "./handshake.ts";
import { FAULT } from "./hop.ts";
import { Layer, OWN, PASSED } from "./layer.ts";

export interface HopChoice extends HopIdentity {
  readonly kind: HopKind;
}

export interface OwnerEvents {
  /** The hop that was being added answers: 0 when it has been added, otherwise the status says why it was not. */
  onHop(status: number): void;
  /** A hop ends the circuit: which, and the code why. */
  onEnd(hop: number, code: number): void;
}

/** Disposing wipes every key. */
export class CircuitOwner implements Disposable {
  readonly #tools: SealTools;
  readonly #events: OwnerEvents;
  readonly #layers: Layer[] = [];
  #adding: { readonly initiator: HopInitiator; readonly kind: HopKind } | undefined;
  #hasGateway = false;
  #isOver = false;

  constructor(tools: SealTools, events: OwnerEvents) {
    this.#tools = tools;
    this.#events = events;
  }

  /** Hops that have been added. */
  get hops(): number {
    return this.#layers.length;
  }

  /** The last hop is a gateway: bytes can be sent. */
  get isComplete(): boolean {
    return this.#hasGateway;
  }

  /** The most bytes of one DATA cell. */
  get dataBytes(): number {
    return bodyBytesAt(this.hops);
  }

  /** What the CREATE for the first hop is to carry; undefined when its key is none that anyone can have. */
  create(hop: HopChoice): Bytes | undefined {
    return this.#begin(hop);
  }

  /** What the first hop has answered. `onHop` is called; false when it is somebody else who answered. */
  created(answer: HopAnswer): boolean {
    return this.#added(answer);
  }

  /** Makes a cell at `at` that asks the last hop for another; false when the key of that is none that anyone can have. */
  extend(slab: Slab, at: number, hop: HopChoice): boolean {
    const first = this.#begin(hop);
    if (!first) return false;
    this.sealCell(slab, at, {
      command: CellCommand.EXTEND,
      body: encodeExtend({ hopId: hop.id, kind: hop.kind, first }),
    });
    return true;
  }

  /** Makes DATA cells of `count` bytes at the slab's start, in place; gives how many cells there are then. */
  sealData(slab: Slab, count: number): number {
    if (!this.#hasGateway) throw new TypeError("Cannot send data: the circuit must have a gateway");
    const hop = this.hops;
    const cells = spreadIntoCells(slab, count, hop);
    for (let at = 0; at < cells * CELL_BYTES; at += CELL_BYTES) this.#seal(slab, at, hop);
    return cells;
  }

  /** Makes a cell for one hop at `at`; default the last. */
  sealCell(
    slab: Slab,
    at: number,
    { command, body = NOTHING, hop = this.hops }: { command: CellCommand; body?: Uint8Array; hop?: number },
  ): void {
    slab.bytes.set(body, at + CELL_HEADER_BYTES);
    writeCellHeader(slab, at, { command, length: body.length, position: hop });
    this.#seal(slab, at, hop);
  }

  /** Makes a cell at `at` that some hop, drawn at random, will drop. */
  sealPadding(slab: Slab, at: number): void {
    const hop = 1 + randomInt(this.#tools.random, this.hops);
    this.sealCell(slab, at, { command: CellCommand.PADDING, hop });
  }

  /** Opens `cells` cells at the slab's start; gives how many bytes of data are at its start then. FAULT is the end. */
  open(slab: Slab, cells: number): number {
    let kept = 0;
    for (let cell = 0; cell < cells && !this.#isOver; cell++) {
      const at = cell * CELL_BYTES;
      const hop = this.#openLayers(slab, at);
      kept = hop > 0 ? this.#take(slab, at, { hop, kept }) : FAULT;
      if (kept === FAULT) return this.#fail();
    }
    return kept > 0 || !this.#isOver ? kept : FAULT;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#adding?.initiator[Symbol.dispose]();
    this.#adding = undefined;
    for (const layer of this.#layers) layer[Symbol.dispose]();
  }

  #begin(hop: HopChoice): Bytes | undefined {
    const position = this.hops + 1;
    if (this.#adding || this.#hasGateway || position > MAX_HOPS) {
      throw new TypeError(`Cannot add a hop: one at a time, ${MAX_HOPS} in all, and none after a gateway`);
    }
    const initiator = new HopInitiator(this.#tools, hop, position);
    if (initiator.first) this.#adding = { initiator, kind: hop.kind };
    else initiator[Symbol.dispose]();
    return initiator.first;
  }

  #added({ status, second }: HopAnswer): boolean {
    if (!this.#adding) return false;
    const { initiator, kind } = this.#adding;
    this.#adding = undefined;
    using _wiped = initiator;
    if (status === 0) {
      const keys = second && initiator.finish(second);
      if (!keys) return false;
      this.#layers.push(new Layer(this.#tools.crypto, keys, this.hops + 1));
      this.#hasGateway = kind === "gateway";
    }
    this.#events.onHop(status);
    return true;
  }

  #seal(slab: Slab, at: number, hop: number): void {
    for (let number = hop; number > 0; number--) {
      this.#layers[number - 1]!.seal(slab, at, number === hop ? OWN : PASSED);
    }
  }

  /** Gives which hop a cell is from, or FAULT. */
  #openLayers(slab: Slab, at: number): number {
    for (let number = 1; number <= this.#layers.length; number++) {
      const flag = this.#layers[number - 1]!.open(slab, at);
      if (flag !== PASSED) return flag === OWN ? number : FAULT;
    }
    return FAULT;
  }

  #take(slab: Slab, at: number, { hop, kept }: { hop: number; kept: number }): number {
    const length = bodyLength(slab, at, hop);
    const from = at + CELL_HEADER_BYTES;
    if (length < 0) return FAULT;
    const isLast = hop === this.hops;
    switch (slab.bytes[at]) {
      case CellCommand.DATA:
        if (!isLast || !this.#hasGateway) return FAULT;
        slab.bytes.copyWithin(kept, from, from + length);
        return kept + length;
      case CellCommand.PADDING:
        return kept;
      case CellCommand.EXTENDED: {
        const answer = parseExtended(slab.bytes.subarray(from, from + length));
        return answer && isLast && this.#added(answer) ? kept : FAULT;
      }
      case CellCommand.END:
        this.#isOver = true;
        this.#events.onEnd(hop, length > 0 ? slab.bytes[from]! : 0);
        return kept;
      default:
        return FAULT;
    }
  }

  #fail(): typeof FAULT {
    this.#isOver = true;
    return FAULT;
  }
}

const NOTHING = new Uint8Array(0);
