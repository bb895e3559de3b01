/**
 * A Link in the cells of a circuit, for its two ends: the owner, and the gateway that is its last hop.
 *
 *   fill ─▶ sealData, in place ─▶ one write of many cells          many cells read at once ─▶ open, in place ─▶ onBytes
 *
 * A quiet link holds no buffer at all. What it does not do: build the circuit; its machine can carry data already.
 */

import type { Clock, Timer } from "../../protocol/clock.ts";
import { CELL_BYTES } from "../../protocol/circuit/cell.ts";
import { FAULT } from "../../protocol/circuit/hop.ts";
import { CulvertError } from "../../protocol/errors.ts";
import type { Random } from "../../protocol/random.ts";
import type { Slab } from "../../protocol/slab.ts";
import { writeAll } from "../../protocol/stream.ts";
import type { Link, LinkHandlers } from "../link.ts";
import type { MuxStream } from "../mux.ts";
import { type CellSlabs, cellsOf } from "./cell_slabs.ts";

/** More than a small slab holds. */
const MANY_CELLS = 32;

/** An end of a circuit, as `CircuitOwner` and a gateway's `CircuitHop` are. */
export interface CellMachine extends Disposable {
  /** The most bytes of one DATA cell. */
  readonly dataBytes: number;
  open(slab: Slab, cells: number): number;
  sealData(slab: Slab, count: number): number;
  /** Makes one cell at `at` that says nothing. */
  sealPadding?(slab: Slab, at: number): void;
}

/** Cells that say nothing, at random times, so many a second. */
export interface Padding {
  readonly perSecond: number;
  readonly clock: Clock;
  readonly random: Random;
}

export class CellLink implements Link {
  readonly #stream: MuxStream;
  readonly #machine: CellMachine;
  readonly #slabs: CellSlabs;
  #handlers: LinkHandlers | undefined;
  #isWriting = false;
  #padTimer: Timer | undefined;
  #isPadDue = false;
  #isClosed = false;
  #error: unknown;
  #wakeReader: (() => void) | undefined;

  /** At the owner's end, set before it starts. Left unset: none. */
  padding: Padding | undefined;

  /** Takes over the stream and the machine. */
  constructor(stream: MuxStream, machine: CellMachine, slabs: CellSlabs) {
    this.#stream = stream;
    this.#machine = machine;
    this.#slabs = slabs;
  }

  start(handlers: LinkHandlers): void {
    this.#handlers = handlers;
    this.#readAll(handlers).catch((error) => this.#fail(error)).finally(() => {
      this.close();
      handlers.onClose(this.#error);
    });
    this.#padLater();
    this.wake();
  }

  wake(): void {
    if (this.#isWriting || this.#isClosed || !this.#handlers) return;
    this.#isWriting = true;
    // Not at once: what else becomes ready in this turn shares the cells.
    queueMicrotask(() => this.#writeAll(this.#handlers!).catch((error) => this.#fail(error)));
  }

  get idle(): boolean {
    return !this.#isWriting;
  }

  resume(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#padTimer?.cancel();
    this.#stream.close();
    this.#machine[Symbol.dispose]();
    this.resume();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #fail(error: unknown): void {
    if (!this.#isClosed) this.#error = error;
    this.close();
  }

  async #readAll(handlers: LinkHandlers): Promise<void> {
    const stream = this.#stream;
    while (!this.#isClosed && await stream.readable(CELL_BYTES)) {
      if (!handlers.wantsBytes()) await new Promise<void>((resolve) => this.#wakeReader = resolve);
      if (this.#isClosed) return;
      const there = Math.floor(stream.readableBytes / CELL_BYTES);
      const slab = this.#slabs.take(there);
      let count: number;
      try {
        const cells = Math.min(there, cellsOf(slab));
        stream.readNow(slab.bytes.subarray(0, cells * CELL_BYTES));
        count = this.#machine.open(slab, cells);
        if (count > 0) handlers.onBytes(slab.bytes.subarray(0, count));
      } finally {
        this.#slabs.give(slab);
      }
      if (count === FAULT) throw new CulvertError("protocol", "The circuit was broken on its way, or ended by a hop");
    }
  }

  /** The waits are those of a Poisson process: when the next cell comes tells nothing about the last. */
  #padLater(): void {
    if (!this.padding || !this.#machine.sealPadding || this.#isClosed) return;
    const { perSecond, clock, random } = this.padding;
    const waitMs = -Math.log(1 - random.next()) * 1000 / perSecond;
    this.#padTimer = clock.after(waitMs, () => {
      this.#isPadDue = true;
      this.wake();
      this.#padLater();
    });
  }

  async #writeAll(handlers: LinkHandlers): Promise<void> {
    let wantedCells = 1;
    try {
      while (!this.#isClosed) {
        // Nothing is taken in hand before it can go: what is held up waits where it costs least, and may be overtaken.
        if (this.#stream.roomBytes < CELL_BYTES) await this.#stream.roomFor(CELL_BYTES);
        if (this.#isClosed) return; // meanwhile, and the keys are gone
        const slab = this.#slabs.take(Math.min(wantedCells, Math.floor(this.#stream.roomBytes / CELL_BYTES)));
        try {
          const cells = this.#fillCells(handlers, slab);
          // From here to the end of the loop nothing may be awaited, or a call of `wake` would be lost in between.
          if (cells === 0) return;
          // Who could have used more room gets more the next time.
          wantedCells = cells === cellsOf(slab) ? MANY_CELLS : 1;
          await writeAll(this.#stream, slab.bytes.subarray(0, cells * CELL_BYTES));
        } finally {
          this.#slabs.give(slab);
        }
      }
    } catch (error) {
      if (!this.#isClosed) throw error;
    } finally {
      this.#isWriting = false;
    }
  }

  /** Makes the cells that should go next; gives how many. */
  #fillCells(handlers: LinkHandlers, slab: Slab): number {
    const count = handlers.fill(slab.bytes.subarray(0, cellsOf(slab) * this.#machine.dataBytes));
    if (count === 0 && !this.#isPadDue) return 0;
    this.#isPadDue = false;
    if (count > 0) return this.#machine.sealData(slab, count);
    this.#machine.sealPadding!(slab, 0);
    return 1;
  }
}
