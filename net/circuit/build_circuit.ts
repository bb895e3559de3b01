/**
 * Building one circuit: hop by hop, each through those there are already, on a stream to the entry relay.
 *
 *   stream ─▶ CREATE, CREATED ─▶ EXTEND, EXTENDED … ─▶ EXTEND to the gateway, EXTENDED ─▶ CellLink
 *
 * A failure says at whose door it lies, so that it can be avoided for a while.
 */

import { CELL_BYTES, CircuitEnd, CircuitStatus } from "../../protocol/circuit/cell.ts";
import { FAULT } from "../../protocol/circuit/hop.ts";
import { CircuitOwner, type HopChoice } from "../../protocol/circuit/owner.ts";
import { type Clock, deadline } from "../../protocol/clock.ts";
import { DialError, type DialFailure, messageOf } from "../../protocol/errors.ts";
import type { SealTools } from "../../protocol/sealed_handshake.ts";
import { writeAll } from "../../protocol/stream.ts";
import { orAborted } from "../../protocol/abort.ts";
import type { MuxStream } from "../mux.ts";
import { askNextHop } from "./begin_circuit.ts";
import { CellLink } from "./cell_link.ts";
import type { CellSlabs } from "./cell_slabs.ts";

export interface BuildOptions {
  readonly tools: SealTools;
  readonly clock: Clock;
  readonly slabs: CellSlabs;
  /** For one hop to answer. */
  readonly hopTimeoutMs: number;
  /** Once the circuit stands: a hop has ended it. `hop` is the number of who is to blame for that. */
  onEnd(hop: number, reason: string): void;
}

/** A circuit could not be built. */
export class BuildError extends DialError {
  /** The number of the hop to blame, counted from 1. */
  readonly hop: number;

  constructor(code: DialFailure, hop: number, message: string, options?: ErrorOptions) {
    super(code, `Cannot build a circuit: ${message}`, options);
    this.hop = hop;
  }
}

/** Builds a circuit through the hops, the last of them a gateway. Takes over the stream. Rejects with a BuildError. */
export async function buildCircuit(
  stream: MuxStream,
  hops: readonly HopChoice[],
  options: BuildOptions,
  signal: AbortSignal,
): Promise<CellLink> {
  const building = new Building(stream, hops, options);
  try {
    await building.run(signal);
    return new CellLink(stream, building.owner, options.slabs);
  } catch (error) {
    stream.abort();
    building.owner[Symbol.dispose]();
    throw error;
  }
}

class Building {
  readonly owner: CircuitOwner;
  readonly #stream: MuxStream;
  readonly #hops: readonly HopChoice[];
  readonly #options: BuildOptions;
  #isDone = false;
  /** What the hop that is being added has answered. */
  #status: number | undefined;
  #ended: { readonly hop: number; readonly reason: string } | undefined;

  constructor(stream: MuxStream, hops: readonly HopChoice[], options: BuildOptions) {
    this.#stream = stream;
    this.#hops = hops;
    this.#options = options;
    this.owner = new CircuitOwner(options.tools, {
      onHop: (status) => this.#status = status,
      onEnd: (hop, code) => this.#onEnd(hop, code),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    for (const [at, hop] of this.#hops.entries()) {
      this.#status = undefined;
      await this.#add(hop, at + 1, signal);
    }
    this.#isDone = true;
  }

  async #add(hop: HopChoice, number: number, signal: AbortSignal): Promise<void> {
    const { clock, hopTimeoutMs } = this.#options;
    using limit = deadline(clock, hopTimeoutMs, `hear of ${this.#nameOf(number)}`, signal);
    try {
      if (number === 1) await this.#addFirst(hop, limit.signal);
      else await this.#addNext(hop, limit.signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BuildError) throw error;
      const why = limit.signal.aborted ? limit.signal.reason : error;
      throw new BuildError("path_down", number, `${this.#nameOf(number)} must answer, and: ${messageOf(why)}`, {
        cause: error,
      });
    }
    if (this.#status !== CircuitStatus.OK) throw this.#refusal(number, this.#status);
  }

  async #addFirst(hop: HopChoice, signal: AbortSignal): Promise<void> {
    const { clock, hopTimeoutMs: timeoutMs } = this.#options;
    const first = this.owner.create(hop);
    if (!first) throw this.#badKey(1);
    const answer = await askNextHop(this.#stream, first, { clock, timeoutMs, signal });
    if (!this.owner.created(answer)) throw this.#impostor(1);
  }

  async #addNext(hop: HopChoice, signal: AbortSignal): Promise<void> {
    const { slabs } = this.#options;
    const number = this.owner.hops + 1;
    const slab = slabs.take(1);
    try {
      if (!this.owner.extend(slab, 0, hop)) throw this.#badKey(number);
      await orAborted(writeAll(this.#stream, slab.bytes.subarray(0, CELL_BYTES)), signal);
      while (this.#status === undefined) {
        if (!await orAborted(this.#stream.readable(CELL_BYTES), signal)) {
          throw new BuildError("path_down", number, `it was cut while ${this.#nameOf(number)} was asked`);
        }
        this.#stream.readNow(slab.bytes.subarray(0, CELL_BYTES));
        if (this.owner.open(slab, 1) !== FAULT) continue;
        throw this.#ended ? this.#endError(this.#ended) : this.#impostor(number);
      }
    } finally {
      // After an abort a write may still hold it; then it is left to the garbage collector.
      if (!signal.aborted) slabs.give(slab);
    }
  }

  #onEnd(hop: number, code: number): void {
    const ended = {
      hop: code === CircuitEnd.LOST ? hop + 1 : hop,
      reason: `${this.#nameOf(hop)} ended it: ${END_WORDS[code] ?? `code ${code}`}`,
    };
    if (this.#isDone) this.#options.onEnd(ended.hop, ended.reason);
    else this.#ended = ended;
  }

  #endError({ hop, reason }: { hop: number; reason: string }): BuildError {
    return new BuildError("path_down", hop, reason);
  }

  #badKey(number: number): BuildError {
    return new BuildError("failed", number, `${this.#nameOf(number)} must have a key that someone can have`);
  }

  #impostor(number: number): BuildError {
    return new BuildError("path_down", number, `${this.#nameOf(number)} must prove its key, and did not`);
  }

  #refusal(number: number, status = -1): BuildError {
    const isGateway = this.#hops[number - 1]!.kind === "gateway";
    // A relay that does not know a gateway has told the directory of it: it has lost it since, and is to blame itself.
    const blamed = status === CircuitStatus.UNKNOWN_HOP && isGateway ? number - 1 : number;
    const code = status === CircuitStatus.BUSY ? "busy" : "path_down";
    return new BuildError(code, blamed, `${this.#nameOf(number)} ${STATUS_WORDS[status] ?? `answered ${status}`}`);
  }

  /** Not its id: errors end up in logs. */
  #nameOf(number: number): string {
    return number === this.#hops.length ? "the gateway" : `relay ${number} of ${this.#hops.length - 1}`;
  }
}

const STATUS_WORDS: Readonly<Record<number, string>> = {
  [CircuitStatus.BUSY]: "is busy",
  [CircuitStatus.UNKNOWN_HOP]: "is not known to the one before",
  [CircuitStatus.UNREACHABLE]: "cannot be reached from the one before",
  [CircuitStatus.REFUSED]: "has refused",
  [CircuitStatus.DRAINING]: "is about to stop",
};

const END_WORDS: Readonly<Record<number, string>> = {
  [CircuitEnd.DONE]: "it is done",
  [CircuitEnd.BROKEN]: "a cell was changed or lost on its way there",
  [CircuitEnd.LOST]: "the next hop is lost",
  [CircuitEnd.LIMIT]: "its limits",
  [CircuitEnd.DRAINING]: "it is about to stop",
  [CircuitEnd.IDLE]: "nothing had moved on it",
};
