/**
 * One circuit at a relay: the stream on which it came in, its layer, and the stream on which it goes on.
 *
 *   owner's side ─▶ many cells at once into a slab ─▶ open in place ─▶ one write ─▶ next hop's side
 *                ◀─ one write ◀─ wrap in place ◀─ many cells at once into a slab ◀─
 *
 * Cells are read when there is room for them on the other side, so that a circuit holds a slab for moments only, and one
 * that somebody does not read from holds up itself alone, at what its windows are. When either side is lost the
 * other is told at once. What the relay learns: its neighbours, its position, and how many cells there are.
 */

import type { Clock } from "../../protocol/clock.ts";
import {
  CELL_BYTES,
  CellCommand,
  CircuitEnd,
  CircuitStatus,
  type ExtendRequest,
  type HopAnswer,
  type HopKind,
} from "../../protocol/circuit/cell.ts";
import { type CircuitHop, FAULT, type HopEvents } from "../../protocol/circuit/hop.ts";
import { encodeBase32 } from "../../protocol/encoding.ts";
import { CulvertError, DialError } from "../../protocol/errors.ts";
import type { Slab } from "../../protocol/slab.ts";
import { writeAll } from "../../protocol/stream.ts";
import type { MuxStream } from "../mux.ts";
import { askNextHop } from "./begin_circuit.ts";
import { type CellSlabs, cellsOf } from "./cell_slabs.ts";

export interface RelayedCircuitOptions {
  /** Opens a stream to the next hop. Rejects with a DialError. */
  open(kind: HopKind, peerId: string, signal: AbortSignal): Promise<MuxStream>;
  /** Whether the owner may have that hop for the next. */
  mayExtend(kind: HopKind, peerId: string): boolean;
  /** So many cells have gone through. */
  onCells(count: number): void;
  /** An EXTEND has been answered so. */
  onExtended(status: number): void;
  readonly slabs: CellSlabs;
  readonly clock: Clock;
  /** For the next hop to answer, the link to it included. */
  readonly extendTimeoutMs: number;
}

/** Why it is over, for the metrics. */
export type CircuitOutcome = "ended" | "broken" | "lost" | "limit";

export class RelayedCircuit {
  readonly #options: RelayedCircuitOptions;
  readonly #inbound: MuxStream;
  #next: MuxStream | undefined;
  #backward: Promise<void> | undefined;
  #wish: ExtendRequest | undefined;
  /** Aborted when the circuit is over. */
  readonly #over = new AbortController();
  #outcome: CircuitOutcome = "ended";
  #movedAtMs: number;
  /** When the writes under way, if any, have begun. */
  #forwardAtMs = Infinity;
  #backAtMs = Infinity;

  constructor(inbound: MuxStream, options: RelayedCircuitOptions) {
    this.#inbound = inbound;
    this.#options = options;
    this.#movedAtMs = options.clock.now();
    inbound.onUnheard = () => inbound.isCut && this.#finish("lost");
  }

  /** What the hop is to tell. */
  readonly events: HopEvents = {
    onExtend: (request) => this.#wish = request,
    onEnd: () => this.#finish("ended"),
  };

  /** When cells have last gone through, or it began. */
  get movedAtMs(): number {
    return this.#movedAtMs;
  }

  /** Since when somebody who should read has not, if so; otherwise Infinity. */
  get heldUpSinceMs(): number {
    return Math.min(this.#forwardAtMs, this.#backAtMs);
  }

  /** There is a next hop. */
  get isExtended(): boolean {
    return this.#next !== undefined;
  }

  /** Ends it, both ways, telling nobody why. */
  cut(outcome: CircuitOutcome): void {
    this.#finish(outcome);
  }

  /** Carries cells until the circuit is over; gives why it is. Takes over the hop. */
  async run(hop: CircuitHop): Promise<CircuitOutcome> {
    using _keys = hop;
    try {
      await this.#forward(hop);
      this.#finish("ended");
    } catch {
      // The next hop takes no more: what it has said before still goes to the owner. Or the owner is gone.
    }
    await this.#backward;
    this.#finish("lost");
    return this.#outcome;
  }

  /** The first reason counts. */
  #finish(outcome: CircuitOutcome): void {
    if (this.#over.signal.aborted) return;
    this.#outcome = outcome;
    this.#over.abort(new CulvertError("closed", "The circuit is over"));
    const isClean = outcome === "ended";
    for (const stream of [this.#inbound, this.#next]) isClean ? stream?.close() : stream?.abort();
  }

  async #forward(hop: CircuitHop): Promise<void> {
    const { slabs } = this.#options;
    const inbound = this.#inbound;
    while (await inbound.readable(CELL_BYTES)) {
      this.#forwardAtMs = this.#options.clock.now();
      await this.#next?.roomFor(CELL_BYTES);
      const slab = slabs.take(cellsToMove(inbound, this.#next));
      try {
        const cells = this.#readCells(inbound, slab, this.#next);
        const kept = hop.open(slab, cells);
        if (kept === FAULT) return this.#finish("broken");
        if (kept > 0) await writeAll(this.#next!, slab.bytes.subarray(0, kept));
        this.#forwardAtMs = Infinity;
        if (this.#wish) await this.#extend(hop, slab);
      } finally {
        slabs.give(slab);
      }
      if (this.#over.signal.aborted) return;
    }
  }

  async #back(hop: CircuitHop, next: MuxStream): Promise<void> {
    const { slabs } = this.#options;
    try {
      while (await next.readable(CELL_BYTES)) {
        this.#backAtMs = this.#options.clock.now();
        await this.#inbound.roomFor(CELL_BYTES);
        const slab = slabs.take(cellsToMove(next, this.#inbound));
        try {
          const cells = this.#readCells(next, slab, this.#inbound);
          hop.wrap(slab, cells);
          await writeAll(this.#inbound, slab.bytes.subarray(0, cells * CELL_BYTES));
        } finally {
          slabs.give(slab);
        }
        this.#backAtMs = Infinity;
      }
    } catch {
      // Lost, on this side or on that.
    }
    await this.#tellEnd(hop, CircuitEnd.LOST);
    this.#finish("lost");
  }

  #readCells(from: MuxStream, slab: Slab, to: MuxStream | undefined): number {
    const cells = Math.min(cellsToMove(from, to), cellsOf(slab));
    from.readNow(slab.bytes.subarray(0, cells * CELL_BYTES));
    this.#movedAtMs = this.#options.clock.now();
    this.#options.onCells(cells);
    return cells;
  }

  /** Tells the owner that this hop ends the circuit. */
  async #tellEnd(hop: CircuitHop, code: number): Promise<void> {
    if (this.#over.signal.aborted) return;
    const slab = this.#options.slabs.take(1);
    try {
      hop.sealCell(slab, 0, CellCommand.END, Uint8Array.of(code));
      await writeAll(this.#inbound, slab.bytes.subarray(0, CELL_BYTES));
      this.#inbound.close(); // not cut, or it might never arrive
    } catch {
      // The owner has gone too.
    } finally {
      this.#options.slabs.give(slab);
    }
  }

  /** Does what the owner wished for in its last cells. */
  async #extend(hop: CircuitHop, slab: Slab): Promise<void> {
    const request = this.#wish!;
    this.#wish = undefined;
    const answer = await this.#askFor(request);
    if (this.#over.signal.aborted) return;
    this.#options.onExtended(answer.status);
    hop.answerExtend(slab, 0, answer);
    await writeAll(this.#inbound, slab.bytes.subarray(0, CELL_BYTES));
    if (this.#next) this.#backward = this.#back(hop, this.#next);
  }

  /** Tries to have the hop that is wished for. Never rejects. */
  async #askFor({ kind, hopId, first }: ExtendRequest): Promise<HopAnswer> {
    const { open, mayExtend, clock, extendTimeoutMs: timeoutMs } = this.#options;
    const { signal } = this.#over;
    const peerId = encodeBase32(hopId);
    if (!mayExtend(kind, peerId)) return { status: CircuitStatus.REFUSED };
    let next: MuxStream | undefined;
    try {
      next = await open(kind, peerId, signal);
      const answer = await askNextHop(next, first, { clock, timeoutMs, signal });
      signal.throwIfAborted();
      if (answer.status === CircuitStatus.OK) this.#goOnWith(next);
      else next.close();
      return answer;
    } catch (error) {
      next?.abort();
      return { status: statusOf(error) };
    }
  }

  #goOnWith(next: MuxStream): void {
    this.#next = next;
    // While the owner does not read, nobody reads from the next hop either, to notice that it is gone.
    next.onUnheard = () => next.isCut && this.#backAtMs < Infinity && this.#finish("lost");
  }
}

/** Cells that are there and for which there is room. */
function cellsToMove(from: MuxStream, to: MuxStream | undefined): number {
  return Math.floor(Math.min(from.readableBytes, to?.roomBytes ?? Infinity) / CELL_BYTES);
}

function statusOf(error: unknown): number {
  if (!(error instanceof DialError)) return CircuitStatus.UNREACHABLE;
  if (error.code === "unresolved") return CircuitStatus.UNKNOWN_HOP;
  return error.code === "busy" ? CircuitStatus.BUSY : CircuitStatus.UNREACHABLE;
}
