/**
 * A Path over circuits: several at once, each through relays of its own to a gateway, which dials the target.
 *
 *   dial → the circuit with the fewest streams → mux → CellLink → entry relay → … → last relay → gateway → its way out
 *
 * Circuits change every so often without touching a stream (`circuit_slot.ts`); a dial that is lost with its circuit is
 * made again on another, since nothing of the stream had been sent; so is one that the gateway cannot serve, as it is about
 * to stop or has lost its own way out. What came before in the trail of a stream is not
 * told to the gateway: that is what a circuit is for.
 */

import { orAborted } from "../../protocol/abort.ts";
import { CulvertError, DialError, messageOf } from "../../protocol/errors.ts";
import type { Datagrams, DialOptions, Path, Stream, Target } from "../../protocol/stream.ts";
import type { WireGuardCrypto } from "../../protocol/wireguard/crypto.ts";
import { openSealCrypto } from "../seal_crypto.ts";
import { TunnelPath } from "../tunnel_path.ts";
import { CircuitBuilder, type CircuitBuilderOptions } from "./circuit_builder.ts";
import { endToEndMux } from "./circuit_mux.ts";
import { CircuitSlot } from "./circuit_slot.ts";

export interface CircuitPathOptions extends Omit<CircuitBuilderOptions, "tools"> {
  /** Circuits at once. Default 2. */
  readonly circuits?: number;
  /** Between this and that many milliseconds after the last change, dials move to another circuit. Default 60–120 s. */
  readonly rotateMs?: readonly [least: number, most: number];
  /** Default: the fastest this host has. */
  readonly crypto?: WireGuardCrypto;
  /** Freed with the path. */
  readonly owned?: AsyncDisposable;
}

export const MAX_CIRCUITS = 16;
export const DEFAULT_ROTATE_MS: readonly [number, number] = [60_000, 120_000];
/** Circuits that still carry streams, all together: a relay takes 64 of a client's link, and there are two entries. */
export const MAX_DRAINING = 48;
/** A circuit of many hops takes its time. */
const CONNECT_MS = 20_000;
/** A relay's end may be that of several circuits. */
const MAX_TRIES = 4;
/** Cells of a slow circuit may wait behind a full window at each hop. */
const SILENCE_MS = 8_000;

/** A Path over circuits that are built ahead and replaced from time to time. */
export class CircuitPath implements Path {
  readonly #options: CircuitPathOptions;
  readonly #builder: Promise<CircuitBuilder>;
  /** Dials that are under way, so that many at once are spread as well. */
  readonly #dialling = new Map<TunnelPath, number>();
  #ownCrypto: (WireGuardCrypto & Disposable) | undefined;
  readonly #slots: readonly CircuitSlot[];
  readonly #rotations;
  #closed: Promise<void> | undefined;

  /**
   * Made by `openCircuits`.
   *
   * @internal
   */
  constructor(options: CircuitPathOptions) {
    const { circuits = 2, rotateMs = DEFAULT_ROTATE_MS, clock, log, metrics, dialling: { random } } = options;
    if (!Number.isInteger(circuits) || circuits < 1 || circuits > MAX_CIRCUITS) {
      const rule = `circuits must be 1 to ${MAX_CIRCUITS}, got ${circuits}`;
      throw new CulvertError("bad_option", `Cannot use circuits: ${rule}`);
    }
    this.#options = options;
    this.#rotations = metrics.counter("circuit_rotations_total", "Times that dials have moved to another circuit");
    this.#builder = this.#prepare();
    this.#builder.catch(() => {}); // whoever dials hears of it
    this.#slots = Array.from({ length: circuits }, () =>
      new CircuitSlot({
        open: () => this.#openCircuit(),
        onRotate: () => this.#rotations.add(1),
        maxDraining: Math.floor(MAX_DRAINING / circuits),
        ...{ rotateMs, clock, random, log },
      }));
  }

  /** Circuits that are up and dialled on. */
  get circuitCount(): number {
    return this.#slots.filter(({ current }) => current.linkCount > 0).length;
  }

  /** Streams on each of them. */
  get streamCounts(): number[] {
    return this.#slots.map(({ current }) => current.streamCount);
  }

  /** Circuits that are not dialled on any more and still carry streams. */
  get drainingCount(): number {
    return this.#slots.reduce((sum, { drainingCount }) => sum + drainingCount, 0);
  }

  /** Streams on these. */
  get drainingStreamCount(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.drainingStreamCount, 0);
  }

  dial(target: Target, options: DialOptions = {}): Promise<Stream> {
    return this.#onCircuit((circuit, own) => circuit.dial(target, own), options);
  }

  datagrams(options: DialOptions = {}): Promise<Datagrams> {
    return this.#onCircuit((circuit, own) => circuit.datagrams(own), options);
  }

  close(): void {
    if (this.#closed) return;
    for (const slot of this.#slots) slot.close();
    this.#closed = this.#clear();
  }

  /** Settles when nothing of it is left. Call `close` first. */
  async closed(): Promise<void> {
    await this.#closed;
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Again, on another circuit, when the one that was taken is lost while it dials. */
  async #onCircuit<T>(
    dial: (circuit: TunnelPath, options: DialOptions) => Promise<T>,
    { signal, trail }: DialOptions,
  ): Promise<T> {
    const options: DialOptions = { ...(signal && { signal }), ...(trail && { trail: [] }) };
    const down = new Set<TunnelPath>();
    for (let tries = 1;; tries++) {
      const circuit = this.#best(down) ?? await this.#first(signal);
      try {
        return await this.#counted(circuit, dial(circuit, options));
      } catch (error) {
        if (!isDown(error) || tries === MAX_TRIES || signal?.aborted || this.#closed) throw error;
        if (isLost(error)) continue;
        down.add(circuit);
        const renewed = Promise.all(this.#slots.map((slot) => slot.renew(circuit)));
        if (!this.#best(down)) await orAborted(renewed, signal);
        if (!this.#best(down)) throw error;
      }
    }
  }

  async #counted<T>(circuit: TunnelPath, dialled: Promise<T>): Promise<T> {
    const change = (by: number) => {
      const count = (this.#dialling.get(circuit) ?? 0) + by;
      if (count > 0) this.#dialling.set(circuit, count);
      else this.#dialling.delete(circuit);
    };
    change(1);
    return await dialled.finally(() => change(-1));
  }

  /** The circuit with the fewest streams of those that are up. */
  #best(unwanted: ReadonlySet<TunnelPath>): TunnelPath | undefined {
    let best: TunnelPath | undefined;
    let fewest = Infinity;
    for (const { current } of this.#slots) {
      const streams = current.streamCount + (this.#dialling.get(current) ?? 0);
      if (current.linkCount === 0 || streams >= fewest || unwanted.has(current)) continue;
      best = current;
      fewest = streams;
    }
    return best;
  }

  /** The first circuit to be up. */
  async #first(signal?: AbortSignal): Promise<TunnelPath> {
    if (this.#closed) throw new DialError("path_down", "Cannot dial: the path is closed");
    signal?.throwIfAborted();
    const attempts = this.#slots.map(async ({ current }) => {
      await current.ready(signal);
      return current;
    });
    try {
      return await orAborted(Promise.any(attempts), signal);
    } catch (error) {
      signal?.throwIfAborted();
      const [first] = (error as AggregateError).errors;
      if (first instanceof DialError) throw first;
      throw new DialError("path_down", messageOf(first), { cause: first });
    }
  }

  #openCircuit(): TunnelPath {
    const { clock, log, metrics, hops, dialling: { random } } = this.#options;
    return new TunnelPath({
      ...{ clock, log, metrics, random },
      links: 1,
      farEnd: "a gateway",
      connectTimeoutMs: CONNECT_MS,
      mux: { ...endToEndMux(), keepAliveTimeoutMs: SILENCE_MS },
      hop: (rttMs) => ({
        name: "circuit client",
        at: `a circuit of ${hops} relays`,
        seal: `${hops + 1} layers of ChaCha20-Poly1305`,
        ...(rttMs !== undefined && { rttMs }),
      }),
      connect: async (signal) => await (await this.#builder).build(signal),
    });
  }

  async #prepare(): Promise<CircuitBuilder> {
    const crypto = this.#options.crypto ?? (this.#ownCrypto = await openSealCrypto());
    const { random } = this.#options.dialling;
    return new CircuitBuilder({ ...this.#options, tools: { crypto, random } });
  }

  async #clear(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.closed()));
    const builder = await this.#builder.catch(() => undefined);
    builder?.close();
    await builder?.closed();
    this.#ownCrypto?.[Symbol.dispose]();
    await this.#options.owned?.[Symbol.asyncDispose]();
  }
}

/** Whether it was the way there, or the way out beyond it, and not the target. */
function isDown(error: unknown): error is DialError {
  return error instanceof DialError && error.code === "path_down";
}

/** Whether the circuit itself was lost; what the gateway has to say has no such cause. */
function isLost({ cause }: DialError): boolean {
  return cause instanceof CulvertError && !(cause instanceof DialError);
}
