/**
 * The network that the simulated programs share, at the level of whole messages: connections that carry texts in order,
 * requests with answers, and pipes that stand for data links. Hosts lie in regions; messages take the way between their
 * regions plus a little.
 *
 *   program ── connect ──→ SimSocket ═══ texts ═══ SimSocket ←── accept ── program
 *   program ── request ──→ answer
 *   program ── pipe ─────→ Pipe: up, or ended and how soon each end hears of it
 *
 * What can happen: a program ends and its host says so to the others (`reset`), or the host is gone as well (`silent`);
 * a connection breaks, or goes deaf, which neither end hears of; two regions are cut off from each other. What is sent
 * over a cut waits for its end, as TCP would, and so do those who connect.
 */

import type { TextChannel, TextSocketHandlers } from "../../net/text_socket.ts";
import type { Random } from "../../protocol/random.ts";
import { randomInt } from "../../protocol/random.ts";
import type { ProgramClock } from "./clock.ts";

/** How a program ends for the others. */
export type EndKind = "reset" | "silent";

/** One run of a program. */
export interface Program {
  readonly host: Host;
  readonly clock: ProgramClock;
  readonly sockets: Set<SimSocket>;
  readonly pipes: Set<Pipe>;
  accept?(socket: SimSocket, remoteAddress: string): void;
  answer?(request: Request, remoteAddress: string): Promise<Response>;
}

export interface Host {
  readonly name: string;
  readonly region: string;
  readonly address: string;
  /** What runs there at present. */
  program: Program | undefined;
  /** Whether somebody says that nothing runs there. */
  isSilent: boolean;
}

/** Between regions, one way. */
const NEAR_MS = 10;
const FAR_MS = 70;
const JITTER_MS = 20;
/** TextSocket's. */
const LINGER_MS = 2_000;
/** After so long without a sign of life a mux connection ends itself. */
export const PIPE_TIMEOUT_MS = 5_000;

type Parcel = { readonly kind: "text"; readonly text: string } | { readonly kind: "close" } | {
  readonly kind: "reset";
};

export class SimNetwork {
  readonly #random: Random;
  readonly #hosts = new Map<string, Host>();
  readonly #cuts = new Set<string>();
  /** Sockets with something to send over a cut. */
  readonly #stalled = new Set<SimSocket>();
  messages = 0;
  requests = 0;
  /** When a cut last began or ended. */
  cutChangedMs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  host(name: string, region: string): Host {
    const number = this.#hosts.size + 1;
    const address = `10.${number >>> 16 & 255}.${number >>> 8 & 255}.${number & 255}`;
    const host = { name, region, address, program: undefined, isSilent: false };
    this.#hosts.set(name, host);
    return host;
  }

  /** The host of a URL such as `https://sn-1.sim/`. */
  find(url: string): Host | undefined {
    return this.#hosts.get(new URL(url).hostname.replace(/\.sim$/, ""));
  }

  start(host: Host, clock: ProgramClock): Program {
    host.isSilent = false;
    return host.program = { host, clock, sockets: new Set(), pipes: new Set() };
  }

  end(program: Program, kind: EndKind): void {
    const { host } = program;
    program.clock.end();
    if (host.program === program) host.program = undefined;
    host.isSilent = kind === "silent";
    for (const socket of program.sockets) socket.vanish(kind);
    for (const pipe of program.pipes) pipe.fail(kind === "reset" ? 0 : PIPE_TIMEOUT_MS);
  }

  isCut(one: string, other: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(pairOf(one, other));
  }

  cut(one: string, other: string, { pipes, nowMs }: { readonly pipes: Iterable<Pipe>; readonly nowMs: number }): void {
    this.#cuts.add(pairOf(one, other));
    this.cutChangedMs = nowMs;
    for (const pipe of pipes) pipe.cut();
  }

  heal(one: string, other: string, nowMs: number): void {
    this.#cuts.delete(pairOf(one, other));
    this.cutChangedMs = nowMs;
    for (const socket of [...this.#stalled]) {
      if (this.isCut(socket.region, socket.peer.region)) continue;
      this.#stalled.delete(socket);
      socket.resume();
    }
  }

  get cuts(): number {
    return this.#cuts.size;
  }

  latencyMs(from: string, to: string): number {
    return (from === to ? NEAR_MS : FAR_MS) + randomInt(this.#random, JITTER_MS);
  }

  /** Connects, or rejects when it is refused or the signal aborts. */
  connect(from: Program, to: Host, signal: AbortSignal): Promise<SimSocket> {
    return this.#reach(from, to, signal, (program) => {
      const near = new SimSocket(this, from);
      const far = new SimSocket(this, program);
      near.peer = far;
      far.peer = near;
      program.accept!(far, from.host.address);
      signal.addEventListener("abort", () => near.abandon(), { once: true });
      return Promise.resolve(near);
    });
  }

  /** Asks over HTTP. */
  request(from: Program, request: Request): Promise<Response> {
    this.requests++;
    const to = this.find(request.url);
    if (!to) return Promise.reject(new TypeError("No such host"));
    return this.#reach(from, to, request.signal, (program) => program.answer!(request, from.host.address));
  }

  stall(socket: SimSocket): void {
    this.#stalled.add(socket);
  }

  /** Goes there, has something done there, and brings what came of it back. */
  #reach<T>(from: Program, to: Host, signal: AbortSignal, arrive: (program: Program) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      const way = () => this.latencyMs(from.host.region, to.region);
      const isCut = () => this.isCut(from.host.region, to.region);
      const back = (tell: () => void) => {
        if (!isCut()) from.clock.after(way(), tell);
      };
      from.clock.after(way(), () => {
        this.messages++;
        // Who gets no answer waits for as long as the caller lets it.
        if (isCut() || (!to.program && to.isSilent)) return;
        const { program } = to;
        if (!program?.answer) return back(() => reject(new TypeError("Connection refused")));
        if (signal.aborted) return;
        arrive(program).then(
          (value) => program.clock.isRunning && back(() => resolve(value)),
          (error) => program.clock.isRunning && back(() => reject(error)),
        );
      });
    });
  }
}

function pairOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`;
}

/** One end of a connection that carries texts. */
export class SimSocket implements TextChannel {
  readonly #network: SimNetwork;
  readonly program: Program;
  maxMessageBytes = Infinity;
  peer!: SimSocket;
  #handlers: TextSocketHandlers | undefined;
  #state: "open" | "closing" | "closed" = "open";
  /** Nothing that is sent comes out any more, and neither end knows. */
  #isDeaf = false;
  #stalled: Parcel[] = [];
  #lastArrivalMs = 0;

  constructor(network: SimNetwork, program: Program) {
    this.#network = network;
    this.program = program;
    program.sockets.add(this);
  }

  get region(): string {
    return this.program.host.region;
  }

  start(handlers: TextSocketHandlers): void {
    this.#handlers = handlers;
  }

  send(text: string): void {
    if (this.#state === "open") this.#carry({ kind: "text", text });
  }

  close(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#carry({ kind: "close" });
    this.program.clock.after(LINGER_MS, () => this.#end());
  }

  [Symbol.dispose](): void {
    if (this.#state === "closed") return;
    this.#carry({ kind: "reset" });
    this.#end();
  }

  /** Who wanted it does not any more; harmless once it has been started. */
  abandon(): void {
    if (!this.#handlers) this[Symbol.dispose]();
  }

  /** The connection breaks; both ends hear of it. */
  break(): void {
    for (const end of [this, this.peer]) end.program.clock.after(0, () => end.#end(new Error("Connection reset")));
  }

  /** The connection breaks; neither end hears of it. */
  deafen(): void {
    this.#isDeaf = this.peer.#isDeaf = true;
  }

  /** The program has ended. */
  vanish(kind: EndKind): void {
    if (kind === "reset") this.#carry({ kind: "reset" });
    this.#state = "closed";
    this.#isDeaf = this.peer.#isDeaf = true;
  }

  /** The cut is over. */
  resume(): void {
    const parcels = this.#stalled;
    this.#stalled = [];
    for (const parcel of parcels) this.#carry(parcel);
  }

  #carry(parcel: Parcel): void {
    if (this.#isDeaf) return;
    const { peer } = this;
    if (this.#network.isCut(this.region, peer.region)) {
      this.#stalled.push(parcel);
      return this.#network.stall(this);
    }
    const { clock } = peer.program;
    const nowMs = clock.now();
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, nowMs + this.#network.latencyMs(this.region, peer.region));
    clock.after(this.#lastArrivalMs - nowMs, () => peer.#receive(parcel));
  }

  #receive(parcel: Parcel): void {
    if (this.#state === "closed") return;
    this.#network.messages++;
    switch (parcel.kind) {
      case "text":
        return this.#state === "open" ? this.#handlers?.onText(parcel.text) : undefined;
      case "close":
        if (this.#state === "open") this.#carry(parcel);
        return this.#end();
      case "reset":
        return this.#end(new Error("Connection reset"));
    }
  }

  #end(error?: unknown): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.program.sockets.delete(this);
    this.#stalled = [];
    this.#handlers?.onClose(error);
  }
}

/** A connection of which only matters whether it is there. */
export class Pipe {
  readonly #network: SimNetwork;
  readonly near: Program;
  readonly far: Program;
  /** Whether something sent at one end comes out at the other. */
  #isWhole = true;
  readonly #onEnd = new Map<Program, () => void>();

  constructor(network: SimNetwork, near: Program, far: Program) {
    this.#network = network;
    this.near = near;
    this.far = far;
    for (const end of [near, far]) end.pipes.add(this);
  }

  get isWhole(): boolean {
    return this.#isWhole && !this.#isCut();
  }

  /** Called when that end knows that it is over. */
  whenEnded(at: Program, onEnd: () => void): void {
    this.#onEnd.set(at, onEnd);
  }

  /** It carries nothing from now on, which the ends find out after so long, or as soon as word can come. */
  fail(foundOutAfterMs: number): void {
    this.#isWhole = false;
    for (const end of [this.near, this.far]) {
      const wayMs = this.#network.latencyMs(this.near.host.region, this.far.host.region);
      end.clock.after(Math.max(wayMs, foundOutAfterMs), () => this.#tell(end));
    }
  }

  /** A cut has begun that it may lie across. */
  cut(): void {
    if (!this.#isCut()) return;
    const stillCut = () => this.#isCut() && this.#isWhole && this.fail(0);
    this.near.clock.after(PIPE_TIMEOUT_MS, stillCut);
  }

  #isCut(): boolean {
    return this.#network.isCut(this.near.host.region, this.far.host.region);
  }

  #tell(end: Program): void {
    const onEnd = this.#onEnd.get(end);
    this.#onEnd.delete(end);
    end.pipes.delete(this);
    onEnd?.();
  }
}
